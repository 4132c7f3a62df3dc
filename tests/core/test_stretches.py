"""An index that is spilled at any time is the same as one that is not."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core import index_log
from core.consume_queue import VOLATILE_BASE, ConsumeQueue, Run
from core.group_commit import sync_files
from core.index_log import IndexLog
from core.offset_set import OffsetSet
from core.stretch import Stretch, decode_stretches, describe
from core.stretches import Stretches

_ID = 5


def not_lost(queue_id: int, stretch: Stretch) -> array[int]:
    raise AssertionError(f"{stretch} of {queue_id} is not there")


def volatile(offsets: object) -> list[int]:
    assert isinstance(offsets, (array, list, tuple))
    return [offset for offset in offsets if offset >= VOLATILE_BASE]


def all_runs(index: ConsumeQueue) -> Iterator[Run]:
    offset = index.min_offset
    while (run := index.run_at(offset)) is not None:
        yield run
        offset = run[0] + run[3]


class SpilledMachine(RuleBasedStateMachine):
    """An index that spills when it is told to, and its twin, that never does."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.log = IndexLog(Path(self.folder.name), 3, not_lost)
        self.index = ConsumeQueue()
        self.twin = ConsumeQueue()
        self.number = 0

    def teardown(self) -> None:
        self.log.close()
        self.folder.cleanup()

    @rule(count=st.integers(1, 4), is_in_log=st.booleans(), is_transient=st.booleans())
    def append(self, count: int, is_in_log: bool, is_transient: bool) -> None:
        self.number += 1
        offset = self.number * 100 if is_in_log else VOLATILE_BASE + self.number
        for each in (self.index, self.twin):
            each.append(offset, self.number, count)
            if is_transient or not is_in_log:
                each.mark_transient()

    @rule(count=st.integers(1, 5))
    def skip(self, count: int) -> None:
        self.index.skip(count)
        self.twin.skip(count)

    @rule()
    def spill(self) -> None:
        self.index.spill(Stretches(self.log, _ID))
        assert len(self.index) == 0

    @rule(ahead=st.integers(0, 40))
    def drop(self, ahead: int) -> None:
        offset = self.twin.min_offset + ahead
        dropped, expected = (each.drop_before(offset) for each in (self.index, self.twin))
        assert volatile(dropped) == volatile(expected)

    @rule(ahead=st.integers(0, 60))
    def look(self, ahead: int) -> None:
        offset = self.twin.min_offset + ahead
        assert self.index.run_at(offset) == self.twin.run_at(offset)
        assert OffsetSet(self.index.gaps(offset)) == OffsetSet(self.twin.gaps(offset))
        assert OffsetSet(self.index.passing(offset)) == OffsetSet(self.twin.passing(offset))

    @rule(start=st.integers(0, 3000))
    def refers(self, start: int) -> None:
        assert self.index.refers_to(start, start + 150) == self.twin.refers_to(start, start + 150)

    @rule(
        counts=st.lists(st.integers(1, 3), max_size=9),
        spills=st.booleans(),
        cuts=st.integers(0, 5),
        drops=st.integers(0, 5),
    )
    def prepend(self, counts: list[int], spills: bool, cuts: int, drops: int) -> None:
        older, plain = ConsumeQueue(), ConsumeQueue()
        for place, count in enumerate(counts):
            for each in (older, plain):
                each.append(0, place, count)
            if spills and place == len(counts) // 2:
                older.spill(Stretches(self.log, _ID))
        for each in (older, plain):
            each.cut(max(0, each.max_offset - cuts))
            each.drop_before(drops)
        assert list(all_runs(older)) == list(all_runs(plain))
        held = older.max_offset - older.min_offset
        if held <= min(self.index.min_offset, self.twin.min_offset):
            self.index.prepend(older)
            self.twin.prepend(plain)
        else:
            older.drop_before(older.max_offset)

    @rule()
    def forget(self) -> None:
        for reader in list(self.log._readers):
            reader.forget()

    @rule()
    def restart(self) -> None:
        """What was dropped of the first stretch is so again by what the queue knows."""
        floor = self.twin.min_offset
        saved = self.index.stretches_to_bytes()
        self.log.close()
        self.log = IndexLog(Path(self.folder.name), 3, not_lost)
        assert self.log.open({_ID: decode_stretches(saved)}) == {}
        stretches = Stretches(self.log, _ID, saved)
        self.index = ConsumeQueue(self.index.max_offset, self.index.to_bytes(), stretches or None)
        self.twin = ConsumeQueue(self.twin.max_offset, self.twin.to_bytes())
        self.index.drop_before(floor)
        self.twin.drop_before(floor)

    @invariant()
    def no_difference_is_seen(self) -> None:
        index, twin = self.index, self.twin
        assert list(all_runs(index)) == list(all_runs(twin))
        assert index.max_offset == twin.max_offset
        assert index.last_run_offset == twin.last_run_offset
        assert index.first_kept() == twin.first_kept()


TestSpilled = SpilledMachine.TestCase
TestSpilled.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


@contextmanager
def opened(directory: Path, run_count_max: int = 4) -> Iterator[IndexLog]:
    log = IndexLog(directory, run_count_max, not_lost)
    yield log
    log.close()


def test_no_folder_comes_to_be_while_all_are_short(tmp_path: Path) -> None:
    with opened(tmp_path / "index") as log:
        assert log.begin_sync() == ([], 0)
        assert log.dead() == []
    assert not (tmp_path / "index").exists()


def fill(index: ConsumeQueue, count: int) -> None:
    for number in range(count):
        index.append(number, 0, 1)


def test_files_go_when_all_in_them_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_log, "_SEGMENT_SIZE", 1000)
    with opened(tmp_path) as log:
        index = ConsumeQueue()
        fill(index, 100)
        index.spill(Stretches(log, _ID))
        count = len(list(tmp_path.iterdir()))
        assert count > 2
        assert log.dead() == []
        index.drop_before(50)
        dead = log.dead()
        assert 0 < len(dead) < count
        log.drop(dead)
        assert len(list(tmp_path.iterdir())) == count - len(dead)
        assert [run[0] for run in all_runs(index)] == list(range(50, 100))
        index.drop_before(100)
        log.drop(log.dead())
        assert len(list(tmp_path.iterdir())) == 1


def test_only_so_many_are_in_memory(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        indexes = [ConsumeQueue() for _ in range(index_log._READER_COUNT_MAX + 10)]
        for id, index in enumerate(indexes):
            fill(index, 9)
            index.spill(Stretches(log, id))
        for offset in range(9):
            for index in indexes:
                assert index.run_at(offset) == (offset, offset, 0, 1)
                index.drop_before(offset)
        assert len(log._readers) == index_log._READER_COUNT_MAX
        for index in indexes:
            index.drop_before(9)
        assert not log._readers


def test_what_is_not_flushed_is_flushed_with_the_next_checkpoint_that_succeeds(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as log:
        index = ConsumeQueue()
        fill(index, 9)
        index.spill(Stretches(log, _ID))
        for _ in range(2):  # The first one fails.
            descriptors, end = log.begin_sync()
            assert len(descriptors) == 2, "the file, and the folder"
            sync_files(descriptors)
        log.synced(end)
        assert log.begin_sync() == ([], end)


def test_a_row_says_what_a_stretch_holds() -> None:
    runs = array("q", [7, 100, 2 << 32 | 3, 10, VOLATILE_BASE, 2, 20, 300, 1])
    assert describe(runs, 9, True) == Stretch(7, 21, 9, 3, 6, 4, 100, 2, 300)
    assert describe(runs[3:6], 9, True) == Stretch(10, 12, 9, 1, 2, 0, -1, -1, -1)
    assert describe(runs[:3], 9, False) == Stretch(7, 10, 9, 1, 3, 3, 100, 2, 100)
