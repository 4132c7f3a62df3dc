from collections.abc import Callable
from errno import EIO, ENOSPC

import pytest

from core.turn import Turn


class Worker:
    """Notes what it is asked to do; may set something off, once."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes
        self.sets_off: list[Callable[[], None]] = []
        self.error: Exception | None = None

    def work(self) -> None:
        self.notes.append(self.name)
        while self.sets_off:
            self.sets_off.pop()()
        if self.error is not None:
            raise self.error

    dispatch = flush = work


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def turn(notes: list[str]) -> Turn:
    turn = Turn()
    turn.journals.append(lambda: notes.append("journal"))
    return turn


def test_delivers_writes_down_and_sends_in_this_order(turn: Turn, notes: list[str]) -> None:
    turn.writers[Worker("connection", notes)] = None
    turn.dispatchers[Worker("first", notes)] = None
    turn.dispatchers[Worker("second", notes)] = None
    turn.end()
    assert notes[:4] == ["first", "second", "journal", "connection"]
    assert not turn.dispatchers
    assert not turn.writers


def test_nothing_is_sent_before_it_is_written_down(turn: Turn, notes: list[str]) -> None:
    """Also what sending sets off."""
    queue, connection = Worker("queue", notes), Worker("connection", notes)
    connection.sets_off.append(lambda: turn.dispatchers.update({queue: None}))
    queue.sets_off.append(lambda: turn.writers.update({connection: None}))
    turn.dispatchers[queue] = None
    turn.end()
    assert [note for note in notes if note != "journal"] == ["queue", "connection", "queue"]
    for position, note in enumerate(notes):
        if note == "connection":
            assert notes[position - 1] == "journal"
    assert notes[-1] == "journal"


def test_flushes_begin_when_nothing_else_is_left_to_do(turn: Turn, notes: list[str]) -> None:
    queue, connection = Worker("queue", notes), Worker("connection", notes)
    connection.sets_off.append(lambda: turn.dispatchers.update({queue: None}))
    turn.flushes.append(lambda: notes.append("flush"))
    turn.writers[connection] = None
    turn.end()
    assert [note for note in notes if note != "journal"] == ["connection", "queue", "flush"]
    turn.end()
    assert notes.count("flush") == 1


def test_what_a_flush_sets_off_at_once_is_finished(turn: Turn, notes: list[str]) -> None:
    connection = Worker("connection", notes)
    turn.flushes.append(lambda: turn.writers.update({connection: None}))
    turn.end()
    assert notes[-3:] == ["journal", "connection", "journal"]


def test_flushes_begin_also_on_a_full_disk(turn: Turn, notes: list[str]) -> None:
    """Who waits for what was written before it was full need not wait for room."""
    turn.wait_for_room = lambda error: None
    disk = Worker("disk", notes)
    disk.error = OSError(ENOSPC, "full")
    turn.journals[:] = [disk.work]
    turn.flushes.append(lambda: notes.append("flush"))
    turn.end()
    assert notes == ["disk", "flush"]


def test_ending_within_the_end_does_nothing(turn: Turn, notes: list[str]) -> None:
    turn.journals.append(turn.end)
    turn.dispatchers[Worker("queue", notes)] = None
    turn.end()
    assert notes.count("queue") == 1


@pytest.mark.parametrize("kind", ["dispatchers", "writers"])
def test_one_that_fails_does_not_cost_the_others_their_turn(
    turn: Turn, notes: list[str], kind: str
) -> None:
    """A bug in one connection must not silence the others."""
    bad = Worker("bad", notes)
    bad.error = ValueError("a bug")
    waiting = getattr(turn, kind)
    for worker in (Worker("before", notes), bad, Worker("behind", notes)):
        waiting[worker] = None
    with pytest.raises(ValueError, match="a bug"):
        turn.end()
    turn.end()
    assert [note for note in notes if note != "journal"] == ["before", "bad", "behind"]


def test_nothing_is_delivered_or_sent_while_the_disk_is_full(turn: Turn, notes: list[str]) -> None:
    """Else what a turn after the other delivers would pile up unsent."""
    waited: list[OSError] = []
    turn.wait_for_room = waited.append
    disk = Worker("disk", notes)
    disk.error = OSError(ENOSPC, "full")
    turn.journals[:] = [disk.work]
    queue, connection = Worker("queue", notes), Worker("connection", notes)
    for _ in range(3):
        turn.dispatchers[queue] = None
        turn.writers[connection] = None
        turn.end()
    assert notes == ["queue", "disk", "disk", "disk"]
    assert waited == [disk.error] * 3
    disk.error = None
    turn.end()
    assert [note for note in notes[4:] if note != "disk"] == ["queue", "connection"]


def test_other_errors_of_the_disk_are_raised(turn: Turn, notes: list[str]) -> None:
    turn.wait_for_room = lambda error: None
    disk = Worker("disk", notes)
    disk.error = OSError(EIO, "broken")
    turn.journals[:] = [disk.work]
    with pytest.raises(OSError, match="broken"):
        turn.end()
