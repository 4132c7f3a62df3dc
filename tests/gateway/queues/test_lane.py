"""Each lane of a queue with priorities, counted for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import OffsetOutOfRangeError
from core.lanes import offset_of_lane
from gateway.declarations import QueueDeclaration
from gateway.queues.consumer import Terms
from gateway.queues.lane import Lane
from gateway.queues.queue import Queue
from tests.support.topology import LiveGateway, Taker


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


@pytest.fixture
def queue(live: LiveGateway) -> Queue:
    return live.host.declare_queue(
        QueueDeclaration("q", durable=True, arguments={"x-max-priority": 3})
    )


def publish(live: LiveGateway, *priorities: int) -> None:
    """Messages that say which lane they are for, and which of its messages they are."""
    for number, priority in enumerate(priorities):
        live.publish("", "q", b"%d.%d" % (priority, number), priority=priority)


def taken(lane: Lane, count: int = 9) -> list[bytes]:
    return [delivery.message[2] for delivery in lane.take(count)]


def test_the_highest_is_the_first(queue: Queue) -> None:
    assert [lane.level for lane in Lane.all_of(queue)] == [3, 2, 1, 0]
    assert Lane.find(queue, offset_of_lane(2) + 7) == (Lane(queue, 2), 7)


def test_one_that_was_never_used_is_empty(queue: Queue) -> None:
    lane = Lane(queue, 2)
    assert (lane.min_offset, lane.max_offset, lane.read(0, 9)) == (0, 0, [])
    assert (lane.search_timestamp(5), lane.group_offset("g"), lane.take(1)) == (0, None, [])
    assert list(queue.light.lanes) == [0]
    with pytest.raises(OffsetOutOfRangeError):
        lane.location(0)


def test_offsets_are_its_own(live: LiveGateway, queue: Queue) -> None:
    publish(live, 2, 0, 2)
    lane = Lane(queue, 2)
    assert [(offset, body) for offset, (_, _, body) in lane.read(0, 9)] == [
        (0, b"2.0"),
        (1, b"2.2"),
    ]
    assert lane.max_offset == 2
    assert lane.location(1).log_offset > Lane(queue, 0).location(0).log_offset


def test_a_groups_offset_makes_it(live: LiveGateway, queue: Queue) -> None:
    """What comes from then on is kept for the group, whoever settles it."""
    lane = Lane(queue, 2)
    lane.commit_group_offset("g", 0)
    publish(live, 2)
    (delivery,) = queue.take(1)
    queue.settle(delivery.offset, delivery.offset + 1)
    assert [body for _, (_, _, body) in lane.read(0, 9)] == [b"2.0"]
    live = live.restart()
    assert Lane(live.host.queues["q"], 2).group_offset("g") == 0


def test_takes_what_is_ready_there_and_leaves_the_rest(live: LiveGateway, queue: Queue) -> None:
    publish(live, 3, 2, 2, 0, 2)
    lane = Lane(queue, 2)
    assert taken(lane, 2) == [b"2.1", b"2.2"]
    lane.release([0])
    assert taken(lane) == [b"2.1", b"2.4"]
    lane.settle(0, 3)
    assert (queue.ready_count, queue.unsettled_count) == (2, 0)
    queue.paused = True
    assert taken(Lane(queue, 3)) == []


def test_a_consumer_may_want_one_only(live: LiveGateway, queue: Queue) -> None:
    taker = Taker(credit=2)
    queue.subscribe(taker, Terms(level=2))
    publish(live, 3, 2, 0, 2, 2)
    assert taker.bodies == [b"2.1", b"2.3"]
    queue.release([offset_of_lane(2) + 1])
    taker.left = 1
    queue.wake()
    live.gateway.turn.end()
    assert taker.bodies == [b"2.1", b"2.3", b"2.3"]
    assert queue.ready_count == 3
