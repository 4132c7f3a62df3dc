"""Browsing shows what is ready and what is in flight, and touches neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.browsing import browse
from tests.support.live_broker import LiveBroker, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def test_what_is_settled_is_passed_over(live: LiveBroker) -> None:
    queue = live.declare()
    live.clock.advance(5)
    live.append(queue, *(b"%d" % number for number in range(6)))
    live.append(queue, b"6", durable=False)
    queue.take(5)
    queue.settle(0, 1)
    queue.settle(2, 4)
    queue.release([4])
    live.broker.commit_group_offset(queue, "g", 0)  # It keeps what is settled in the index.
    for _ in range(2):
        found = list(browse(queue, 0))
        assert [(each.offset, each.message, each.in_flight) for each in found] == [
            (1, b"1", True),
            (4, b"4", False),
            (5, b"5", False),
            (6, b"6", False),
        ]
        assert {each.stored_ms for each in found} == {5000}
    assert next(browse(queue, 2)) == found[1]
    assert list(browse(queue, 7)) == []
    assert queue.take_at(5) is False, "it was not delivered by that"


def test_long_queues_are_read_on(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, *(b"%d" % number for number in range(1000)))
    assert [each.offset for each in browse(queue, 100)] == list(range(100, 1000))
    assert len(bodies(queue)) == 1000


def test_of_a_queue_with_lanes(live: LiveBroker) -> None:
    """Lowest offset first: those of the higher levels are higher."""
    lanes = live.broker.lanes(live.declare(), 3)
    for level in (2, 0, 2):
        live.append(lanes.lane(level), b"%d" % level)
    found = list(browse(lanes, 0))
    assert [each.message for each in found] == [b"0", b"2", b"2"]
    assert list(browse(lanes, found[2].offset)) == found[2:]
    assert list(browse(lanes, 1)) == found[1:]


def test_what_stands_in_line_to_be_delivered_again_is_ready(live: LiveBroker) -> None:
    lanes = live.broker.fair_lanes(live.declare(), returns_first=True)
    live.append(lanes.lane(1), b"a", b"b")
    ((first, messages, _),) = lanes.take(2)
    assert len(messages) == 2
    lanes.release([first])
    assert [(each.message, each.in_flight) for each in browse(lanes, 0)] == [
        (b"a", False),
        (b"b", True),
    ]
