"""A message that comes to an empty queue goes straight to whoever takes it; nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.light_queue import LightQueue
from tests.support.live_broker import LiveBroker, take_all
from tests.support.receivers import SingleReceiver


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


class Taker:
    """Takes what comes as long as it has credit; the rest waits to be dispatched."""

    def __init__(self, queue: LightQueue, settles: bool = False, credit: int = 1000) -> None:
        self.credit = credit
        self.got: list[tuple[int, bytes]] = []
        self.dispatches_count = 0
        self.receiver = SingleReceiver(settles)
        queue.dispatcher = self
        queue.hand_to(self)

    def take_one(self, offset: int, body: bytes) -> bool:
        if not self.credit:
            return False
        self.credit -= 1
        self.got.append((offset, body))
        return True

    def dispatch(self) -> None:
        self.dispatches_count += 1


def publish(live: LiveBroker, *items: tuple[LightQueue, bytes], durable: bool = True) -> None:
    """One batch, as a front end makes one of a read."""
    routes = [live.broker.route([queue]) for queue, _ in items]
    live.append(routes, *(body for _, body in items), durable=durable)


@pytest.mark.parametrize("durable", [True, False])
def test_it_is_in_flight_at_once(live: LiveBroker, durable: bool) -> None:
    queue, other = live.declare(durable), live.declare(durable)
    taker, other_taker = Taker(queue), Taker(other)
    items = [(queue, b"a"), (other, b"b"), (queue, b"c")]
    publish(live, *items, durable=durable)
    assert (taker.got, other_taker.got) == ([(0, b"a"), (1, b"c")], [(0, b"b")])
    assert (queue.ready_count, queue.in_flight_count, queue.max_offset) == (0, 2, 2)
    live.end_turn()
    assert taker.dispatches_count == 0
    queue.release([1, 0])
    assert take_all(queue) == [(0, b"a", True), (1, b"c", True)]
    queue.settle(0, 2)
    assert (queue.in_flight_count, queue.min_offset) == (0, 2)


def test_behind_what_waits_it_waits_too(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, b"a")
    taker = Taker(queue)
    live.append(queue, b"b")
    assert (taker.got, queue.ready_count) == ([], 2)
    assert [message for _, message, _ in take_all(queue)] == [b"a", b"b"]
    live.append(queue, b"c")
    assert taker.got == [(2, b"c")]
    queue.release([1])
    live.append(queue, b"d")
    assert (len(taker.got), queue.ready_count) == (1, 2)


def test_what_is_not_taken_is_dispatched(live: LiveBroker) -> None:
    queue, other = live.declare(), live.declare()
    taker = Taker(queue, credit=1)
    publish(live, (queue, b"a"), (other, b"x"), (queue, b"b"), (other, b"x"), (queue, b"c"))
    live.end_turn()
    assert (taker.got, taker.dispatches_count) == ([(0, b"a")], 1)
    assert take_all(queue) == [(1, b"b", False), (2, b"c", False)]


def test_a_run_of_messages_is_dispatched(live: LiveBroker) -> None:
    queue = live.declare()
    taker = Taker(queue)
    live.append(queue, b"a", b"b")
    live.end_turn()
    assert (taker.got, taker.dispatches_count, queue.ready_count) == ([], 1, 2)


def test_all_queues_of_a_route_have_their_takers(live: LiveBroker) -> None:
    queues = [live.declare(), live.declare(), live.declare()]
    takers = [Taker(queue, settles) for queue, settles in zip(queues, (0, 1, 0), strict=True)]
    takers[2].credit = 0
    live.append(live.broker.route(queues), b"a")
    assert [taker.got for taker in takers] == [[(0, b"a")], [(0, b"a")], []]
    assert [queue.in_flight_count for queue in queues] == [1, 0, 0]
    assert [queue.ready_count for queue in queues] == [0, 0, 1]


@pytest.mark.parametrize("durable", [True, False])
def test_a_taker_that_settles_leaves_nothing(live: LiveBroker, durable: bool) -> None:
    queue = live.declare(durable)
    taker = Taker(queue, settles=True)
    for body in (b"a", b"b"):
        live.append(queue, body, durable=durable)
    assert taker.got == [(0, b"a"), (1, b"b")]
    assert (queue.min_offset, queue.max_offset, queue.in_flight_count) == (2, 2, 0)
    assert not live.broker._store._volatile
    if durable:
        queue = live.crash().queue(queue.id)
        assert (queue.max_offset, queue.ready_count) == (2, 0)


def test_while_something_else_is_in_flight_it_is_settled_as_ever(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, b"a")
    take_all(queue)
    taker = Taker(queue, settles=True)
    live.append(queue, b"b")
    assert (taker.got, queue.ready_count) == ([], 1)


def test_a_crash_brings_back_what_was_not_settled(live: LiveBroker) -> None:
    queue = live.declare()
    Taker(queue)
    for body in (b"a", b"b", b"c"):
        live.append(queue, body)
    queue.settle(1, 2)
    queue = live.crash().queue(queue.id)
    assert take_all(queue) == [(0, b"a", True), (2, b"c", True)]


def test_a_transient_message_to_a_durable_queue_is_noted_as_a_gap(live: LiveBroker) -> None:
    queue = live.declare()
    taker = Taker(queue)
    live.append(queue, b"a", durable=False)
    assert (taker.got, queue.ready_count) == ([], 1)
    take_all(queue)
    live.append(queue, b"b")
    assert taker.got == [(1, b"b")]
    queue = live.crash().queue(queue.id)
    assert take_all(queue) == [(1, b"b", True)]


def test_other_groups_get_what_they_have_not_read(live: LiveBroker) -> None:
    queue = live.declare()
    live.broker.commit_group_offset(queue, "other", 0)
    taker = Taker(queue, settles=True)
    live.append(queue, b"a")
    assert (taker.got, queue.read(0, 1)) == ([], [(0, b"a")])


def test_nothing_is_handed_over_while_nothing_can_be_written(live: LiveBroker) -> None:
    queue = live.declare(durable=False)
    taker = Taker(queue)

    def write() -> None:
        raise RuntimeError("no disk")

    live.broker.turn.journals.append(write)
    with pytest.raises(RuntimeError):
        live.end_turn()
    live.append(queue, b"a", durable=False)
    assert (taker.got, queue.ready_count) == ([], 1)
    live.broker.turn.journals.remove(write)
    live.end_turn()
    take_all(queue)
    live.append(queue, b"b", durable=False)
    assert taker.got == [(1, b"b")]


def test_a_deleted_queue_hands_nothing_over(live: LiveBroker) -> None:
    queue = live.declare()
    taker = Taker(queue)
    route = live.broker.route([queue])
    live.broker.delete_queue(queue)
    live.append(route, b"a")
    assert taker.got == []
