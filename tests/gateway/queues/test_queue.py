from __future__ import annotations

import gc
from pathlib import Path
from weakref import ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import OffsetOutOfRangeError
from gateway.declarations import QueueDeclaration
from gateway.errors import AccessRefusedError
from gateway.queues.consumer import Terms
from gateway.queues.lane import Lane
from gateway.queues.queue import Queue
from tests.support.topology import LiveGateway, Taker, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


@pytest.fixture
def queue(live: LiveGateway) -> Queue:
    return live.host.declare_queue(QueueDeclaration("q", durable=True))


def fill(live: LiveGateway, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        live.publish("", "q", b"%d" % number)


class TestConsumers:
    def test_one_gets_what_it_takes_in_order(self, live: LiveGateway, queue: Queue) -> None:
        fill(live, 3)
        taker = Taker(credit=4)
        queue.subscribe(taker)
        live.gateway.turn.end()
        fill(live, 3, start=3)
        assert taker.got == [(n, b"%d" % n, False) for n in range(4)]
        assert (queue.ready_count, queue.unsettled_count) == (2, 4)
        taker.left = 9
        queue.wake()
        live.gateway.turn.end()
        assert taker.bodies == [b"%d" % n for n in range(6)]

    @settings(max_examples=40)
    @given(credits=st.lists(st.integers(0, 9), min_size=2, max_size=4), count=st.integers(0, 20))
    def test_several_take_turns(
        self, tmp_path_factory: pytest.TempPathFactory, credits: list[int], count: int
    ) -> None:
        """None gets more than it takes, nobody is passed over, nothing is left that one takes."""
        live = LiveGateway(tmp_path_factory.mktemp("data"))
        queue = live.host.declare_queue(QueueDeclaration("q"))
        takers = [Taker(credit) for credit in credits]
        for taker in takers:
            queue.subscribe(taker)
        fill(live, count)
        got = sorted(int(body) for taker in takers for body in taker.bodies)
        assert got == list(range(min(count, sum(credits))))
        for taker, credit in zip(takers, credits, strict=True):
            assert taker.bodies == sorted(taker.bodies, key=int)
            if len(taker.got) < credit:
                assert len(taker.got) >= max(len(other.got) for other in takers) - 1
        live.gateway.stop()

    def test_those_who_share_credit_get_no_more_than_that(
        self, live: LiveGateway, queue: Queue
    ) -> None:
        first = Taker(credit=3)
        second = Taker(with_other=first)
        first.shares_credit = True
        for taker in (first, second, Taker(credit=1)):
            queue.subscribe(taker)
        fill(live, 9)
        assert len(first.got) + len(second.got) == 3
        assert abs(len(first.got) - len(second.got)) == 1
        assert (queue.ready_count, queue.unsettled_count) == (5, 4)

    def test_with_no_ack_is_settled_at_once(self, live: LiveGateway, queue: Queue) -> None:
        queue.subscribe(Taker(no_ack=True))
        fill(live, 3)
        assert (queue.ready_count, queue.unsettled_count) == (0, 0)
        live = live.restart()
        assert bodies(live.host.queues["q"]) == []

    def test_what_is_released_comes_back_in_its_place(
        self, live: LiveGateway, queue: Queue
    ) -> None:
        fill(live, 4)
        taken = queue.take(3)
        queue.settle(1, 2)
        queue.release([2, 0])
        again = queue.take(9)
        assert [d.offset for d in taken] == [0, 1, 2]
        assert [(d.offset, d.redelivered, d.delivery_count) for d in again] == [
            (0, True, 1), (2, True, 1), (3, False, 0)
        ]  # fmt: skip
        queue.release([0])
        assert queue.take(1)[0].delivery_count == 2

    def test_releasing_wakes_who_waits(self, live: LiveGateway, queue: Queue) -> None:
        fill(live, 1)
        queue.take(1)
        taker = Taker()
        queue.subscribe(taker)
        queue.release([0])
        live.gateway.turn.end()
        assert taker.got == [(0, b"0", True)]

    def test_what_is_rejected_is_gone(self, live: LiveGateway, queue: Queue) -> None:
        fill(live, 3)
        queue.take(3)
        queue.reject([0, 2])
        assert queue.unsettled_count == 1
        live = live.restart()
        assert bodies(live.host.queues["q"]) == [b"1"]

    def test_exclusive_is_alone(self, live: LiveGateway, queue: Queue) -> None:
        alone, other = Taker(), Taker()
        queue.subscribe(alone, Terms(exclusive=True))
        for exclusive in (True, False):
            with pytest.raises(AccessRefusedError, match="queue 'q' in vhost '/' in exclusive use"):
                queue.subscribe(other, Terms(exclusive))
        queue.unsubscribe(other)
        queue.unsubscribe(alone)
        queue.subscribe(other)
        with pytest.raises(AccessRefusedError):
            queue.subscribe(alone, Terms(exclusive=True))

    def test_auto_delete_goes_with_the_last_consumer(self, live: LiveGateway) -> None:
        queue = live.host.declare_queue(QueueDeclaration("auto", auto_delete=True))
        waiting, first, second = Taker(), Taker(), Taker()
        waiting.counted = False
        queue.subscribe(waiting)
        queue.subscribe(first)
        queue.subscribe(second)
        assert queue.consumer_count == 2
        queue.unsubscribe(first)
        assert "auto" in live.host.queues
        queue.unsubscribe(second)
        assert "auto" not in live.host.queues
        assert waiting.is_cancelled


def test_purging_leaves_what_is_in_flight(live: LiveGateway, queue: Queue) -> None:
    fill(live, 5)
    queue.take(2)
    assert queue.purge() == 3
    assert (queue.ready_count, queue.unsettled_count) == (0, 2)
    queue.release([1])
    assert bodies(queue) == [b"1"]


class TestReading:
    def test_takes_nothing(self, live: LiveGateway, queue: Queue) -> None:
        fill(live, 3)
        assert [(o, m[2]) for o, m in queue.read(1, 9)] == [(1, b"1"), (2, b"2")]
        assert queue.ready_count == 3
        assert Lane(queue).location(2).log_offset > Lane(queue).location(1).log_offset
        with pytest.raises(OffsetOutOfRangeError):
            Lane(queue).location(3)

    def test_a_watcher_is_called_once_for_the_next_message(
        self, live: LiveGateway, queue: Queue
    ) -> None:
        fill(live, 1)
        notes: list[int] = []
        queue.watch(lambda: notes.append(queue.max_offset))
        cancel = queue.watch(lambda: notes.append(-1))
        live.gateway.turn.end()
        assert notes == []
        cancel()
        fill(live, 2)
        assert notes == [2]

    def test_a_watcher_hears_of_the_end(self, live: LiveGateway, queue: Queue) -> None:
        notes: list[str] = []
        queue.watch(lambda: notes.append("called"))
        live.host.delete_queue("q")
        assert notes == ["called"]

    def test_two_groups_do_not_take_from_one_another(self, live: LiveGateway, queue: Queue) -> None:
        fill(live, 3)
        Lane(queue).commit_group_offset("reader", 1)
        assert bodies(queue) == [b"0", b"1", b"2"]
        live = live.restart()
        queue = live.host.queues["q"]
        assert Lane(queue).group_offset("reader") == 1
        assert Lane(queue).group_offset("another") is None
        assert [o for o, _ in queue.read(Lane(queue).group_offset("reader") or 0, 9)] == [1, 2]
        assert queue.ready_count == 0


def test_one_that_is_deleted_needs_no_garbage_collector(live: LiveGateway) -> None:
    queue = live.host.declare_queue(QueueDeclaration("q"))
    queue.subscribe(Taker())
    queue.subscribe(Taker(), Terms(selects=lambda message: True))
    queue.watch(lambda: None)
    gone = ref(queue)
    gc.disable()
    try:
        live.host.delete_queue("q")
        live.gateway.turn.end()
        del queue
        assert gone() is None
    finally:
        gc.enable()
