"""How far somebody choosy has looked."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cursor import Cursor
from core.light_queue import LightQueue
from tests.support.live_broker import LiveBroker


@pytest.fixture
def queue(tmp_path: Path) -> LightQueue:
    live = LiveBroker(tmp_path / "data")
    queue = live.declare()
    route = live.broker.route([queue])
    live.append([route] * 6, *(b"%d" % number for number in range(6)))
    return queue


def looks(cursor: Cursor) -> list[int]:
    """All that is left to be looked at."""
    found = []
    while (entry := cursor.look()) is not None:
        found.append(entry[0])
    return found


def test_each_is_looked_at_once_and_again_when_it_comes_back(queue: LightQueue) -> None:
    queue.take(2)
    cursor = Cursor(queue)
    assert looks(cursor) == [2, 3, 4, 5]
    assert looks(cursor) == []
    queue.release([1])
    cursor.returned([1])
    queue.take_at(4)
    queue.release([4])
    cursor.returned([4])
    assert looks(cursor) == [1, 4]
    assert looks(cursor) == []


def test_what_somebody_else_took_is_passed_over(queue: LightQueue) -> None:
    cursor = Cursor(queue)
    assert cursor.look() == (0, b"0")
    cursor.forget()
    queue.take_at(1)
    queue.take_at(3)
    queue.release([3])
    cursor.returned([3])
    assert looks(cursor) == [2, 3, 4, 5]


def test_after_a_rewind_all_begins_again(queue: LightQueue) -> None:
    cursor = Cursor(queue)
    assert len(looks(cursor)) == 6
    queue.take_at(2)
    queue.rewind(0, ())
    assert looks(cursor) == [0, 1, 3, 4, 5]
