from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import OffsetOutOfRangeError
from core.lanes import Lanes, level_of
from core.light_queue import LightQueue
from tests.support.live_broker import LiveBroker


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def declare(live: LiveBroker, durable: bool = True, level_max: int = 9) -> Lanes:
    return live.broker.lanes(live.declare(durable), level_max)


def again(live: LiveBroker, lanes: Lanes) -> Lanes:
    """The same queue after a restart."""
    return live.broker.lanes(live.queue(lanes.id), lanes.level_max)


def take(lanes: Lanes, count: int = 1000) -> list[tuple[int, int, bytes, bool]]:
    """Level, offset in the lane, message and whether it is delivered again."""
    return [
        (level_of(offset), offset - (level_of(offset) << 48), message, redelivered)
        for first, messages, redelivered in lanes.take(count)
        for offset, message in enumerate(messages, first)
    ]


def messages(lanes: Lanes) -> list[bytes]:
    return [message for _, _, message, _ in take(lanes)]


def test_the_highest_lane_comes_first_and_each_is_in_order(live: LiveBroker) -> None:
    lanes = declare(live)
    for level, message in ((0, b"a"), (3, b"b"), (0, b"c"), (9, b"d"), (3, b"e")):
        live.append(lanes.lane(level), message)
    assert (lanes.ready_count, lanes.in_flight_count) == (5, 0)
    assert take(lanes, 2) == [(9, 0, b"d", False), (3, 0, b"b", False)]
    assert (lanes.ready_count, lanes.in_flight_count) == (3, 2)
    assert take(lanes) == [(3, 1, b"e", False), (0, 0, b"a", False), (0, 1, b"c", False)]


def test_a_level_above_the_highest_is_the_highest(live: LiveBroker) -> None:
    lanes = declare(live, level_max=5)
    assert lanes.lane(6) is lanes.lane(255) is lanes.lane(5)
    assert lanes.lane(-1) is lanes.lane(0) is lanes.main


def test_a_level_that_was_never_used_is_not_there(live: LiveBroker) -> None:
    lanes = declare(live, level_max=255)
    assert list(lanes.lanes) == [0]
    size = (live.directory / "metadata").stat().st_size
    lanes.lane(7)
    lanes.lane(7)
    assert list(lanes.lanes) == [0, 7]
    assert 0 < (live.directory / "metadata").stat().st_size - size < 100


def test_what_is_returned_goes_to_its_own_place_in_its_own_lane(live: LiveBroker) -> None:
    lanes = declare(live)
    live.append(lanes.lane(1), b"a", b"b", b"c")
    live.append(lanes.lane(2), b"d", b"e")
    offsets = [first + n for first, found, _ in lanes.take(10) for n in range(len(found))]
    lanes.release([offsets[3], offsets[0], offsets[2]])
    assert lanes.delivery_count(offsets[0]) == 1
    assert lanes.delivery_count(offsets[1]) == 0
    assert [each[2:] for each in take(lanes)] == [(b"d", True), (b"a", True), (b"b", True)]


def test_what_is_settled_is_gone_and_the_rest_survives_a_crash(live: LiveBroker) -> None:
    lanes = declare(live)
    live.append(lanes.lane(0), b"a", b"b")
    live.append(lanes.lane(4), b"c", b"d", b"e")
    ((first, found, _),) = lanes.take(2)
    assert found == [b"c", b"d"]
    lanes.settle(first, first + 1)
    live = live.crash()
    lanes = again(live, lanes)
    assert sorted(lanes.lanes) == [0, 4]
    assert take(lanes) == [
        (4, 1, b"d", True),
        (4, 2, b"e", False),
        (0, 0, b"a", False),
        (0, 1, b"b", False),
    ]


@pytest.mark.parametrize("clean", [True, False])
def test_a_restart_goes_on_with_the_same_lanes(live: LiveBroker, clean: bool) -> None:
    lanes = declare(live)
    other = declare(live)
    live.append(lanes.lane(4), b"a")
    live.append(other.lane(4), b"other")
    live.append(lanes.lane(2), b"gone", durable=False)
    live = live.restart() if clean else live.crash()
    lanes, other = again(live, lanes), again(live, other)
    live.append(lanes.lane(4), b"b")
    live.append(lanes.lane(2), b"c")
    live = live.restart() if clean else live.crash()
    lanes, other = again(live, lanes), again(live, other)
    assert messages(lanes) == [b"a", b"b", b"c"]
    assert messages(other) == [b"other"]


def test_a_queue_of_this_run_only(live: LiveBroker) -> None:
    lanes = declare(live, durable=False)
    live.append(lanes.lane(1), b"a", durable=False)
    live.append(lanes.lane(2), b"b", durable=False)
    assert messages(lanes) == [b"b", b"a"]
    live = live.restart()
    assert live.broker.queues == {}


def test_a_deleted_queue_takes_its_lanes_along(live: LiveBroker) -> None:
    lanes = declare(live)
    for level in range(5):
        live.append(lanes.lane(level), b"x")
    live.broker.delete_queue(lanes)
    assert lanes.deleted
    assert live.broker.queues == {}
    live = live.crash()
    assert live.broker.queues == {}
    assert live.broker.documents("lane") == {}


def test_a_lane_whose_queue_is_gone_goes_with_the_next_start(live: LiveBroker) -> None:
    """Power may fail in the middle of a deletion."""
    lanes = declare(live)
    live.append(lanes.lane(3), b"x")
    live.broker.delete_document("queue", str(lanes.id))
    live = live.crash()
    assert live.broker.queues == {}
    assert live.broker.documents("lane") == {}


def test_purging_leaves_what_is_in_flight(live: LiveBroker) -> None:
    lanes = declare(live)
    for level in range(3):
        live.append(lanes.lane(level), b"a", b"b")
    ((first, _, _),) = lanes.take(1)
    assert lanes.purge() == 5
    assert (lanes.ready_count, lanes.in_flight_count) == (0, 1)
    lanes.release([first])
    assert messages(lanes) == [b"a"]


def test_peeking_shows_what_would_be_taken(live: LiveBroker) -> None:
    lanes = declare(live)
    assert lanes.peek(5) is None
    live.append(lanes.lane(0), b"a")
    live.append(lanes.lane(1), b"b", b"c")
    head = lanes.peek(5)
    assert head is not None
    assert head[:2] == (1 << 48, [b"b", b"c"])
    assert lanes.take(2)[0][:2] == head[:2]


def test_a_turn_that_is_full_does_not_go_on_with_a_lower_lane(
    live: LiveBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.light_queue.TAKE_SIZE_MAX", 1)
    lanes = declare(live)
    live.append(lanes.lane(0), b"low")
    for body in (b"a", b"b"):
        live.append(lanes.lane(1), body)
    assert messages(lanes) == [b"a"]
    assert messages(lanes) == [b"b", b"low"]


def test_reading_takes_nothing(live: LiveBroker) -> None:
    lanes = declare(live)
    live.append(lanes.lane(0), b"a", b"b")
    live.append(lanes.lane(2), b"c", b"d")
    high = 2 << 48
    assert lanes.read(0, 10) == [(0, b"a"), (1, b"b"), (high, b"c"), (high + 1, b"d")]
    assert lanes.read(1, 2) == [(1, b"b"), (high, b"c")]
    assert lanes.read(high + 1, 2) == [(high + 1, b"d")]
    assert (lanes.min_offset, lanes.max_offset) == (0, high + 2)
    assert lanes.ends() == {0: 2, 2: high + 2}
    assert lanes.location(high) == lanes.lane(2).location(0)
    with pytest.raises(OffsetOutOfRangeError):
        lanes.location(1 << 48)


class Noting:
    def dispatch(self) -> None: ...


def test_a_lane_that_is_new_is_treated_as_the_others(live: LiveBroker) -> None:
    lanes = declare(live)
    lanes.guarded = True
    lanes.dispatcher = noting = Noting()
    lane: LightQueue = lanes.lane(3)
    assert lane.guarded
    assert live.broker.route([lane]).guarded
    live.append(lane, b"x")
    assert list(live.broker.turn.dispatchers) == [noting]
    lanes.dispatcher = None
    assert lane.dispatcher is None
