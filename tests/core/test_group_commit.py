import os
from errno import EMFILE
from pathlib import Path

import pytest

from core.group_commit import GroupCommit, flush_blocking, sync_files
from core.turn import Turn
from tests.support.disk import HeldDisk


class Flushes:
    """A group commit on a disk that the test holds; notes who is told what, in order."""

    def __init__(self) -> None:
        self.disk = HeldDisk()
        self.disk.held = True
        self.notes: list[str] = []
        self.failures: list[BaseException] = []
        self.turn = Turn()
        self.commit = GroupCommit(
            self.begin_sync, flush_blocking(self.disk.run), self.turn, self.failures.append
        )

    def begin_sync(self) -> list[int]:
        self.notes.append("sync")
        return []

    def wait(self, name: str) -> None:
        self.commit.when_durable(lambda: self.notes.append(name))

    def flush(self) -> None:
        """The turn ends, and the disk does what it is asked to."""
        self.turn.end()
        self.disk.release()


@pytest.fixture
def flushes() -> Flushes:
    return Flushes()


def test_a_flush_begins_when_all_of_the_turn_is_sent(flushes: Flushes) -> None:
    class Connection:
        def flush(self) -> None:
            flushes.notes.append("sent")

    flushes.wait("a")
    flushes.turn.writers[Connection()] = None
    flushes.wait("b")
    flushes.flush()
    assert flushes.notes == ["sent", "sync", "a", "b"]


def test_who_comes_during_a_flush_waits_for_the_next(flushes: Flushes) -> None:
    flushes.wait("a")
    flushes.turn.end()
    flushes.wait("b")
    flushes.wait("c")
    flushes.turn.end()
    assert flushes.notes == ["sync"]
    assert len(flushes.disk.waiting) == 1, "one at a time"
    flushes.disk.release_one()
    assert flushes.notes == ["sync", "a", "sync"]
    flushes.disk.release_one()
    assert flushes.notes == ["sync", "a", "sync", "b", "c"]
    assert not flushes.disk.waiting


def test_a_flush_that_cannot_begin_has_failed() -> None:
    """There may be no descriptor left for it: who waits must not wait for ever."""
    error = OSError(EMFILE, "Too many open files")
    told: list[str] = []
    failures: list[BaseException] = []
    turn = Turn()

    def begin_sync() -> list[int]:
        raise error

    commit = GroupCommit(begin_sync, flush_blocking(HeldDisk().run), turn, failures.append)
    commit.when_durable(lambda: told.append("a"))
    turn.end()
    assert failures == [error]
    commit.when_durable(lambda: told.append("b"))
    turn.end()
    assert not told


def test_what_a_callback_sets_off_is_finished(flushes: Flushes) -> None:
    """It is a turn of its own."""
    flushes.turn.journals.append(lambda: flushes.notes.append("journal"))
    flushes.wait("a")
    flushes.turn.end()
    flushes.notes.clear()
    flushes.disk.release_one()
    assert flushes.notes == ["a", "journal"]


def test_a_callback_may_ask_again(flushes: Flushes) -> None:
    flushes.commit.when_durable(lambda: flushes.wait("again"))
    flushes.wait("b")
    flushes.flush()
    assert flushes.notes == ["sync", "b", "sync", "again"]


def test_what_begin_sync_asks_belongs_to_its_own_flush() -> None:
    """So the broker notes how far a flush will have come."""
    flushes = Flushes()
    begin_sync = flushes.begin_sync

    def begin_and_wait() -> list[int]:
        flushes.wait("noted")
        return begin_sync()

    flushes.commit._begin_sync = begin_and_wait
    flushes.wait("a")
    flushes.flush()
    assert flushes.notes == ["sync", "a", "noted"]


def test_after_a_failure_nobody_is_told_anything(flushes: Flushes) -> None:
    flushes.wait("a")
    flushes.turn.end()
    flushes.wait("b")
    flushes.disk.error = OSError("I/O error")
    flushes.disk.release()
    flushes.disk.error = None
    flushes.wait("c")
    flushes.turn.end()
    assert flushes.notes == ["sync"]
    assert [str(error) for error in flushes.failures] == ["I/O error"]
    assert not flushes.disk.waiting
    assert not flushes.commit._waiting, "nobody is kept for what never comes"


def test_a_flush_that_ends_after_the_end_tells_nobody(flushes: Flushes) -> None:
    """The connections are gone, and the files closed."""
    flushes.wait("a")
    flushes.turn.end()
    flushes.wait("b")
    flushes.commit.stop()
    flushes.disk.release()
    assert flushes.notes == ["sync"]
    assert flushes.failures == []


def test_a_flush_does_not_begin_after_the_end(flushes: Flushes) -> None:
    flushes.wait("a")
    flushes.commit.stop()
    flushes.flush()
    assert flushes.notes == []


def test_every_descriptor_is_closed_even_if_one_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptors = [os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in "abc"]
    flushed: list[int] = []

    def fdatasync(descriptor: int) -> None:
        flushed.append(descriptor)
        if descriptor == descriptors[1]:
            raise OSError("I/O error")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(OSError, match="I/O error"):
        sync_files(descriptors)
    assert flushed == descriptors[:2]
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
