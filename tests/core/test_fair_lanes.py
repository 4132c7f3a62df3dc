from __future__ import annotations

from pathlib import Path

import pytest

from core.fair_lanes import FairLanes
from core.lanes import level_of
from tests.support.live_broker import LiveBroker, damage_log


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def declare(live: LiveBroker, returns_first: bool = True) -> FairLanes:
    return live.broker.fair_lanes(live.declare(), returns_first)


def again(live: LiveBroker, lanes: FairLanes) -> FairLanes:
    """The same queue after a restart."""
    found = live.broker.fair_lanes(live.queue(lanes.id), True)
    found.counts_returns = True
    return found


def take(lanes: FairLanes, count: int = 1000) -> list[tuple[int, bytes, bool]]:
    """Offset, message and whether it is delivered again; what is peeked at is what is taken."""
    taken: list[tuple[int, bytes, bool]] = []
    while len(taken) < count and (head := lanes.peek(count - len(taken))) is not None:
        first, messages, _ = head
        (span,) = lanes.take(len(messages))
        assert (span[0], list(span[1])) == (first, list(messages))
        taken += [(first + n, message, span[2]) for n, message in enumerate(messages)]
    return taken


def drain(lanes: FairLanes, count: int = 1000) -> str:
    taken = take(lanes, count)
    for offset, _, _ in taken:
        lanes.settle(offset, offset + 1)
    return b"".join(message for _, message, _ in taken).decode()


def fill(live: LiveBroker, lanes: FairLanes, messages: str) -> None:
    """Capital letters are urgent."""
    for message in messages:
        live.append(lanes.lane(message.isupper()), message.encode())


def test_the_lower_lane_has_every_third(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "abcdABCDEFGH")
    assert drain(lanes) == "ABaCDbEFcGHd"


def test_in_one_take_as_in_many(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "abcdABCDEFGH")
    spans = lanes.take(7)
    assert b"".join(b"".join(messages) for _, messages, _ in spans) == b"ABaCDbE"
    assert (lanes.ready_count, lanes.in_flight_count) == (5, 7)


def test_older_ones_of_the_upper_lane_go_before_the_lower(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "ABCDaE")
    assert drain(lanes) == "ABCDEa"


def test_one_lane_alone_is_in_order(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "abcde")
    assert drain(lanes, 4) == "abcd"
    fill(live, lanes, "ABCDE")
    assert drain(lanes) == "AeBCDE", "one of the share was taken"


def test_what_is_returned_comes_first_in_the_order_of_its_return(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "abcdeA")
    offsets = {message.decode(): offset for offset, message, _ in take(lanes, 4)}
    assert "".join(offsets) == "Aabc"
    lanes.release([offsets["c"]])
    lanes.release([offsets["A"], offsets["a"]])
    assert (lanes.ready_count, lanes.in_flight_count) == (5, 1)
    assert lanes.delivery_count(offsets["c"]) == 1
    taken = take(lanes)
    assert [(message, again) for _, message, again in taken] == [
        (b"c", True),
        (b"A", True),
        (b"a", True),
        (b"d", False),
        (b"e", False),
    ]


def test_or_behind_what_was_there_before(live: LiveBroker) -> None:
    lanes = declare(live, returns_first=False)
    fill(live, lanes, "abcd")
    offsets = [offset for offset, _, _ in take(lanes, 2)]
    lanes.release(offsets[:1])
    fill(live, lanes, "e")
    lanes.release(offsets[1:])
    fill(live, lanes, "f")
    assert lanes.ready_count == 6
    assert drain(lanes) == "cdaebf"


def test_behind_does_not_mean_behind_the_upper_lane(live: LiveBroker) -> None:
    lanes = declare(live, returns_first=False)
    fill(live, lanes, "a")
    lanes.release([offset for offset, _, _ in take(lanes)])
    fill(live, lanes, "BCDE")
    assert drain(lanes) == "BaCDE"


def test_purging_drops_the_line_too(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "aAbB")
    first, second = (offset for offset, _, _ in take(lanes, 2))
    lanes.release([first])
    assert lanes.purge() == 3
    assert (lanes.ready_count, lanes.in_flight_count) == (0, 1)
    lanes.release([second])
    assert drain(lanes) == "B"


@pytest.mark.parametrize("clean", [True, False])
def test_a_restart_knows_how_often_each_came_back(live: LiveBroker, clean: bool) -> None:
    lanes = declare(live)
    lanes.counts_returns = True
    fill(live, lanes, "abcA")
    for times in range(3):
        offsets = {message.decode(): offset for offset, message, _ in take(lanes)}
        lanes.release([offsets["A"], *([offsets["b"]] if times < 2 else [])])
        lanes.settle(offsets["c"], offsets["c"] + 1) if "c" in offsets else None
        if times == 2:
            lanes.settle(offsets["b"], offsets["b"] + 1)
        live.end_turn()
    live = live.restart() if clean else live.crash()
    lanes = again(live, lanes)
    assert {message: lanes.delivery_count(offset) for offset, message, _ in take(lanes)} == {
        b"A": 3,
        b"a": 1,
    }
    live = live.restart() if clean else live.crash()
    lanes = again(live, lanes)
    upper = 1 << 48
    assert lanes.delivery_count(upper) == 3, "by the checkpoint"
    assert level_of(upper) == 1


def test_what_is_gone_counts_for_nothing(live: LiveBroker) -> None:
    lanes = declare(live)
    lanes.counts_returns = True
    fill(live, lanes, "a")
    ((offset, _, _),) = take(lanes)
    live.broker.delete_queue(lanes)
    lanes.release([offset])
    assert lanes.peek(1) is None
    assert lanes.take(1) == []


def test_what_cannot_be_read_any_more_is_passed_over(live: LiveBroker) -> None:
    lanes = declare(live)
    fill(live, lanes, "ab")
    lanes.release([offset for offset, _, _ in take(lanes)])
    live.broker._store._cache.clear()
    damage_log(live.directory, lanes.location(0)[0])
    assert drain(lanes) == "b"
    assert (lanes.ready_count, lanes.in_flight_count) == (0, 0)
