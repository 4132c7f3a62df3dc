from pathlib import Path

import pytest

from core.errors import CorruptRecordError, StoreFormatError
from core.timer_run import BLOCK_COUNT, Entry, TimerRun


def some(count: int) -> list[Entry]:
    """Timers of every tenth millisecond."""
    return [(10 * number << 64 | number, 100 << 32 | number % 7) for number in range(count)]


@pytest.fixture
def run(tmp_path: Path) -> TimerRun:
    return TimerRun.write(tmp_path / "0000000001", some(1000))


def test_loaded_block_by_block_in_order(run: TimerRun) -> None:
    loaded: list[Entry] = []
    while (key := run.next_key) is not None:
        block = run.load()
        assert block[0][0] == key
        assert len(block) <= BLOCK_COUNT
        loaded += block
    assert loaded == some(1000)


def cancel(run: TimerRun, key: int) -> None:
    found = run.find(key)
    assert found is not None
    run.cancel(found[0])


def test_cancelled_ones_are_neither_found_nor_loaded_nor_seen(run: TimerRun) -> None:
    entries = some(1000)
    for number in (0, 255, 256, 999):
        key, value = entries[number]
        assert run.find(key) == (number, value)
        cancel(run, key)
        assert run.find(key) is None
    left = [entry for number, entry in enumerate(entries) if number not in (0, 255, 256, 999)]
    assert list(run.entries(-1)) == left
    again = TimerRun(run.path, 1, run.cancelled)
    assert list(again.entries(-1)) == [entry for entry in left if entry[0] >= entries[256][0]]
    assert run.load() + run.load() + run.load() + run.load() == left


def test_what_was_loaded_or_never_there_is_not_found(run: TimerRun) -> None:
    first = some(1000)[0][0]
    run.load()
    assert run.find(first) is None
    assert run.find(first + 1) is None
    assert run.find(1 << 127) is None


def test_looked_at_from_a_key_on(run: TimerRun) -> None:
    entries = some(1000)
    assert list(run.entries(entries[300][0])) == entries[301:]
    run.load()
    assert list(run.entries(-1)) == entries[BLOCK_COUNT:]


@pytest.mark.parametrize("at", [0, 5, 9, 13, 20])
def test_a_damaged_head_or_table_stops_the_start(run: TimerRun, at: int) -> None:
    data = bytearray(run.path.read_bytes())
    data[at] ^= 0xFF
    run.path.write_bytes(data)
    with pytest.raises(StoreFormatError):
        TimerRun(run.path)


def test_a_missing_or_cut_file_stops_the_start(run: TimerRun) -> None:
    run.path.write_bytes(b"RMQT")
    with pytest.raises(StoreFormatError):
        TimerRun(run.path)
    run.delete()
    with pytest.raises(StoreFormatError):
        TimerRun(run.path)


def test_a_damaged_block_is_noticed_when_it_is_read(run: TimerRun) -> None:
    data = bytearray(run.path.read_bytes())
    data[-1] ^= 0xFF
    run.path.write_bytes(data)
    again = TimerRun(run.path)
    assert again.load() == some(BLOCK_COUNT)
    with pytest.raises(CorruptRecordError):
        list(again.entries(some(1000)[-1][0] - 1))
