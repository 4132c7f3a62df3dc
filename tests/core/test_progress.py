import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.group_commit import sync_files
from core.progress import Entry, Kind, Progress
from tests.support.disk import FullDisk


def opened(directory: Path, first_number: int = 0) -> tuple[Progress, list[Entry]]:
    progress = Progress(directory)
    return progress, list(progress.replay(first_number))


def entries(directory: Path, first_number: int = 0) -> list[Entry]:
    progress, found = opened(directory, first_number)
    progress.close()
    return found


def test_a_turn_is_one_event_gaps_first_joined(tmp_path: Path) -> None:
    progress, _ = opened(tmp_path)
    progress.settled(3, 0, 2)
    progress.gap(3, 4, 5)
    progress.delivered(3, 9)
    progress.gap(3, 5, 8)
    progress.gap(3, 9, 10)
    progress.committed(5, 77)
    progress.delivered(3, 10)
    progress.write()
    data = (tmp_path / "progress.0000000000").read_bytes()
    assert len(data) == 8 + 5 * 25
    assert data[8:33] == b"\1" + (3).to_bytes(8, "big") + bytes(8) + (2).to_bytes(8, "big")
    progress.close()
    assert entries(tmp_path) == [
        Entry(Kind.SETTLED, 3, 0, 2),
        Entry(Kind.GAP, 3, 4, 8),
        Entry(Kind.COMMITTED, 5, 77, 0),
        Entry(Kind.GAP, 3, 9, 10),
        Entry(Kind.DELIVERED, 3, 10, 0),
    ]


def test_an_empty_turn_writes_nothing(tmp_path: Path) -> None:
    progress, _ = opened(tmp_path)
    progress.write()
    assert progress.size == 0
    assert (tmp_path / "progress.0000000000").read_bytes() == b""


@given(turns=st.lists(st.integers(1, 3), max_size=5), data=st.data())
def test_cut_at_any_byte_whole_turns_come_back(
    tmp_path_factory: pytest.TempPathFactory, turns: list[int], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("progress")
    progress, _ = opened(directory)
    expected: list[list[Entry]] = [[]]
    for turn, count in enumerate(turns):
        for number in range(count):
            progress.settled(turn, number, number + 1)
        progress.write()
        new = [Entry(Kind.SETTLED, turn, number, number + 1) for number in range(count)]
        expected.append(expected[-1] + new)
    path = directory / "progress.0000000000"
    os.truncate(path, data.draw(st.integers(0, path.stat().st_size)))
    assert entries(directory) in expected


def test_a_checkpoint_begins_a_file_and_ends_those_before(tmp_path: Path) -> None:
    progress, _ = opened(tmp_path)
    progress.settled(1, 0, 1)
    assert progress.begin_next() == 1
    progress.settled(2, 0, 1)
    progress.close()
    assert [entry.id for entry in entries(tmp_path)] == [1, 2]
    assert [entry.id for entry in entries(tmp_path, 1)] == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["progress.0000000001"]


def test_what_a_full_disk_refused_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, _ = opened(tmp_path)
    disk = FullDisk(monkeypatch, 10)
    progress.settled(1, 0, 1)
    with pytest.raises(OSError, match="No space left"):
        progress.write()
    disk.room = 1 << 20
    progress.settled(1, 1, 2)
    progress.close()
    assert entries(tmp_path) == [Entry(Kind.SETTLED, 1, 0, 1), Entry(Kind.SETTLED, 1, 1, 2)]


def test_a_full_disk_refuses_a_new_file_and_the_old_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, _ = opened(tmp_path)
    progress.settled(1, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="No space left"):
            progress.begin_next()
    progress.settled(1, 1, 2)
    progress.write()
    assert progress.begin_next() == 1
    progress.close()
    assert entries(tmp_path) == [Entry(Kind.SETTLED, 1, 0, 1), Entry(Kind.SETTLED, 1, 1, 2)]


def refuse(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_new_file_is_durable_with_its_name(tmp_path: Path) -> None:
    progress, _ = opened(tmp_path)
    progress.settled(1, 0, 1)
    progress.begin_next()
    progress.settled(1, 1, 2)
    progress.write()
    descriptors = progress.begin_sync()
    inodes = {os.fstat(descriptor).st_ino for descriptor in descriptors}
    for descriptor in descriptors:
        os.close(descriptor)
    files = (tmp_path / f"progress.{number:010}" for number in range(2))
    assert inodes == {path.stat().st_ino for path in (tmp_path, *files)}


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_behind_damage_nothing_counts_also_not_in_later_files(tmp_path: Path, damaged: int) -> None:
    """A gap that is missing moves the offsets: what is said to be settled would be other things."""
    progress, _ = opened(tmp_path)
    for start in range(3):
        progress.settled(1, start, start + 1)
        progress.write()
        sync_files(progress.begin_sync())
    progress.begin_next()
    progress.settled(1, 3, 4)
    progress.close()
    path = tmp_path / "progress.0000000000"
    content = bytearray(path.read_bytes())
    content[[10, 33 + 10, len(content) - 10][damaged]] ^= 1
    path.write_bytes(content)
    for _ in range(2):
        assert entries(tmp_path) == [
            Entry(Kind.SETTLED, 1, each, each + 1) for each in range(damaged)
        ]


def test_damage_is_told_if_it_was_flushed(tmp_path: Path) -> None:
    progress, _ = opened(tmp_path)
    for start in range(3):
        progress.settled(1, start, start + 1)
        progress.write()
        sync_files(progress.begin_sync())
    progress.close()
    path = tmp_path / "progress.0000000000"
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    progress, _ = opened(tmp_path)
    progress.close()
    assert [start for start, _ in progress.damage] == [0]
