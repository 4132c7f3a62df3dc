"""What is handed over at once is as if each queue had delivered it; also after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from core import handing
from core.handing import Handed
from core.light_queue import LightQueue
from core.progress import Kind
from tests.support.live_broker import LiveBroker, cut_log, take_all


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing, "_COUNT_MIN", 1)


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


class Receiver:
    """Takes all that comes at once for its queues, and nothing else."""

    def __init__(self, *queues: LightQueue, settles: bool = False) -> None:
        self.settles = settles
        self.receiver = self
        self.batches: list[Handed] = []
        self.got: list[bytes] = []
        self.offsets: list[int] = []  # Of what was entered.
        for queue in queues:
            queue.dispatcher = self
            queue.hand_to(self)

    def take_all(self, handed: Handed, messages: Sequence[bytes]) -> bool:
        assert len(messages) == len(handed.takers) == len(handed.routes) == len(handed.places)
        self.batches += [] if self.settles else [handed]
        self.got += messages
        return True

    def done(self, handed: Handed) -> None:
        self.batches.remove(handed)

    def entered(self, handed: Handed, offsets: Sequence[int]) -> None:
        self.batches.remove(handed)
        self.offsets += offsets

    def take_one(self, offset: int, body: bytes) -> bool:
        return False

    def dispatch(self) -> None:
        """What waits may wait."""


def publish(live: LiveBroker, *items: tuple[LightQueue, bytes], durable: bool = True) -> None:
    routes = [live.broker.route([queue]) for queue, _ in items]
    live.append(routes, *(body for _, body in items), durable=durable)


def journal(live: LiveBroker) -> list[tuple[int, ...]]:
    """What was noted in this turn."""
    entries = live.broker._progress._entries
    return [
        tuple(int.from_bytes(entry[at : at + 8], "big") for at in (1, 9, 17)) for entry in entries
    ]


def test_one_entry_of_the_journal_tells_of_all(live: LiveBroker) -> None:
    a, b = live.declare(), live.declare()
    receiver = Receiver(a, b)
    publish(live, (a, b"a0"), (b, b"b0"), (a, b"a1"))
    assert receiver.got == [b"a0", b"b0", b"a1"]
    (handed,) = receiver.batches
    live.broker.handing.settle(handed, 2)
    live.broker.handing.settle(handed, 1)
    assert not receiver.batches
    log_offset = handed.log_offset
    assert journal(live) == [(log_offset, 0, 3), (log_offset, 0, 2), (log_offset, 2, 1)]
    assert (a.max_offset, a.min_offset, b.max_offset, b.in_flight_count) == (2, 2, 1, 0)


def test_whoever_looks_has_everything_entered(live: LiveBroker) -> None:
    a, b = live.declare(), live.declare()
    receiver = Receiver(a, b)
    publish(live, (a, b"a0"), (b, b"b0"), (a, b"a1"), (b, b"b1"))
    live.broker.handing.settle(receiver.batches[0], 1)
    assert a.in_flight_count == 1
    assert (receiver.offsets, receiver.batches) == ([0, 1, 1], [])
    assert (b.in_flight_count, b.max_offset, a.max_offset, a.window.floor) == (2, 2, 2, 1)
    a.settle(1, 2)
    b.release([0])
    assert (a.min_offset, b.ready_count) == (2, 1)
    assert take_all(b) == [(0, b"b0", True)]


def test_several_receivers_share_a_batch(live: LiveBroker) -> None:
    a, b, c = live.declare(), live.declare(), live.declare()
    one, other = Receiver(a), Receiver(b, settles=True)
    publish(live, (a, b"a0"), (b, b"b0"), (c, b"c0"), (a, b"a1"))
    assert (one.got, other.got, c.ready_count) == ([b"a0", b"a1"], [b"b0"], 1)
    (handed,) = one.batches
    assert list(handed.places) == [0, 3]
    live.broker.handing.settle(handed, 2)
    log_offset = handed.log_offset
    assert sorted(journal(live)) == sorted(
        [(log_offset, 0, 1), (log_offset, 3, 1)] * 2 + [(log_offset, 1, 1)]
    )
    live = live.crash()
    assert [take_all(live.queue(each.id)) for each in (a, b, c)] == [[], [], [(0, b"c0", False)]]


def test_where_a_route_has_several_queues_the_order_is_kept(live: LiveBroker) -> None:
    a, b = live.declare(), live.declare()
    receiver = Receiver(a)
    both, single = live.broker.route([a, b]), live.broker.route([a])
    live.append([both, single], b"0", b"1")
    assert (receiver.got, take_all(a)) == ([], [(0, b"0", False), (1, b"1", False)])


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_a_crash_brings_back_what_was_not_settled(live: LiveBroker, with_checkpoint: bool) -> None:
    a, b = live.declare(), live.declare()
    receiver = Receiver(a, b)
    publish(live, (a, b"a0"), (b, b"b0"), (a, b"a1"), (b, b"b1"))
    first = receiver.batches[0]
    live.broker.handing.settle(first, 1)
    live.end_turn()
    if with_checkpoint:
        live.broker._checkpointing.begin()
        live.end_turn()
        assert receiver.offsets == [0, 1, 1]
        b.settle(0, 1)
    else:
        live.broker.handing.settle(first, 1)
    publish(live, (a, b"a2"), (b, b"b2"))
    live.broker.handing.settle(receiver.batches[-1], 1)
    live = live.crash()
    a, b = live.queue(a.id), live.queue(b.id)
    publish(live, (a, b"a3"))
    assert take_all(a) == [(1, b"a1", True), (3, b"a3", False)]
    assert take_all(b) == [(1, b"b1", True), (2, b"b2", True)]


def test_what_was_said_of_a_record_that_power_loss_took_is_void(live: LiveBroker) -> None:
    a, b = live.declare(), live.declare()
    receiver = Receiver(a, b)
    publish(live, (a, b"a0"), (b, b"b0"))
    end = live.broker.log_end
    publish(live, (a, b"a1"), (b, b"b1"))
    live.broker.handing.settle(receiver.batches[1], 2)
    live = live.crash(meanwhile=lambda folder: cut_log(folder, end))
    assert live.broker.log_end == end
    a, b = live.queue(a.id), live.queue(b.id)
    publish(live, (a, b"a2"), (b, b"b2"))
    live = live.crash()
    assert take_all(live.queue(a.id)) == [(0, b"a0", True), (1, b"a2", False)]
    assert take_all(live.queue(b.id)) == [(0, b"b0", True), (1, b"b2", False)]
    kinds = {entry.kind for entry in live.broker._progress.replay(0)}
    assert Kind.VOID in kinds


def test_a_transient_batch_stays_until_the_last_is_done(live: LiveBroker) -> None:
    a, b, c = (live.declare(durable=False) for _ in range(3))
    receiver, other = Receiver(a, b), Receiver(c)
    held = live.broker._store._volatile
    publish(live, (a, b"a0"), (b, b"b0"), (c, b"c0"), durable=False)
    live.broker.handing.settle(other.batches[0], 1)
    live.broker.handing.settle(receiver.batches[0], 1)
    assert held
    live.broker.handing.settle(receiver.batches[0], 1)
    assert not held
    publish(live, (a, b"a1"), (b, b"b1"), (c, b"c1"), durable=False)
    live.broker.handing.settle(receiver.batches[0], 1)
    assert (a.in_flight_count, b.in_flight_count, c.in_flight_count) == (0, 1, 1)
    b.settle(1, 2)
    assert held
    c.release([1])
    assert take_all(c) == [(1, b"c1", True)]
    c.settle(1, 2)
    assert not held
    assert not journal(live)


def test_what_other_groups_read_is_kept_for_them(live: LiveBroker) -> None:
    a, b = live.declare(), live.declare()
    receiver = Receiver(a, b)
    publish(live, (a, b"a0"), (b, b"b0"))
    live.broker.commit_group_offset(a, "other", 0)
    publish(live, (a, b"a1"), (b, b"b1"))
    assert receiver.got == [b"a0", b"b0", b"b1"]
    assert a.read(1, 1) == [(1, b"a1")]


def test_no_more_is_owed_than_can_be_entered_in_a_moment(
    live: LiveBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "_OWED_COUNT_MAX", 12)
    a, b = live.declare(), live.declare()
    receiver = Receiver(a, b)
    publish(live, (a, b"a"), (b, b"b"))
    assert not receiver.offsets
    for _ in range(4):
        publish(live, (a, b"a"), (b, b"b"))
    assert (len(receiver.batches), receiver.offsets) == (1, [0, 0, 1, 1, 2, 2, 3, 3])
    for position in range(4):
        a.settle(position, position + 1)
    live.broker.handing.settle(receiver.batches[0], 2)
    publish(live, (a, b"a"), (b, b"b"))
    assert len(receiver.batches) == 1
    assert (a.min_offset, a.max_offset, b.in_flight_count) == (5, 6, 5)
    assert live.broker.handing._owed_count == 0


def test_few_messages_go_one_by_one_unless_the_like_is_owed(
    live: LiveBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "_COUNT_MIN", 3)
    a, b, c = live.declare(), live.declare(), live.declare()
    receiver, other = Receiver(a, b), Receiver(c)
    publish(live, (a, b"a0"), (b, b"b0"))
    assert take_all(a) + take_all(b) == [(0, b"a0", False), (0, b"b0", False)]
    publish(live, (a, b"a1"), (c, b"c0"), (b, b"b1"), (a, b"a2"))
    assert (receiver.got, other.got) == ([b"a1", b"b1", b"a2"], [])
    publish(live, (b, b"b2"))
    assert receiver.got[3:] == [b"b2"]
    assert a.in_flight_count == 3
    publish(live, (a, b"a3"))
    assert take_all(a) == [(3, b"a3", False)]


def test_who_refuses_a_batch_is_not_remembered(live: LiveBroker) -> None:
    class Refusing(Receiver):
        def take_all(self, handed: Handed, messages: Sequence[bytes]) -> bool:
            return False

    a, b = live.declare(), live.declare()
    Refusing(a, b)
    publish(live, (a, b"a0"), (b, b"b0"))
    assert (a.takers, b.takers, a.ready_count, b.ready_count) == (None, None, 1, 1)


def test_what_is_never_settled_is_spilled_like_anything_else(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path / "data", runs_in_memory=4, stretch_run_count=1)
    a, b = live.declare(), live.declare()
    Receiver(a, b)
    for _ in range(10):
        publish(live, (a, b"a"), (b, b"b"))
        assert a.in_flight_count == a.max_offset
    assert a.run_count + b.run_count <= 4
