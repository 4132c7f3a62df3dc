"""What is owed to the indexes is there for whoever looks; the order of a queue never changes."""

from __future__ import annotations

import random
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from core import indexing
from core.light_queue import LightQueue
from core.route import Route
from tests.support.live_broker import LiveBroker, bodies, take_all


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


@pytest.fixture
def grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few messages are worth being grouped."""
    monkeypatch.setattr(indexing, "_GROUPED_COUNT_MIN", 1)


def publish(live: LiveBroker, items: list[tuple[Route, bytes]], durable: bool = True) -> None:
    routes, bodies = [route for route, _ in items], [body for _, body in items]
    live.append(routes, *bodies, durable=durable)


class Waiting:
    """Somebody who waits for messages."""

    def __init__(self) -> None:
        self.dispatches_count = 0

    def dispatch(self) -> None:
        self.dispatches_count += 1


def owed_count(live: LiveBroker) -> int:
    return live.broker._indexing._owed_count


def test_what_nobody_waits_for_is_entered_when_somebody_looks(live: LiveBroker) -> None:
    queue, other = live.declare(), live.declare(durable=False)
    live.append(queue, b"a", b"b")
    live.append(other, b"c")
    assert owed_count(live) == 3
    assert queue.ready_count == 2
    assert owed_count(live) == 0
    assert (bodies(queue), bodies(other)) == ([b"a", b"b"], [b"c"])


@pytest.mark.parametrize(
    "look",
    [
        lambda queue: queue.max_offset,
        lambda queue: queue.min_offset,
        lambda queue: queue.index,
        lambda queue: queue.ready_count,
        lambda queue: queue.take(1),
        lambda queue: queue.peek(1),
        lambda queue: queue.read(0, 1),
        lambda queue: queue.location(0),
        lambda queue: queue.search_timestamp(0),
        lambda queue: queue.purge(),
        lambda queue: queue.drop(),
        lambda queue: setattr(queue, "dispatcher", Waiting()),
    ],
)
def test_every_way_of_looking_settles_first(live: LiveBroker, look: Any) -> None:
    queue = live.declare()
    live.append(queue, b"a")
    assert owed_count(live) == 1
    look(queue)
    assert owed_count(live) == 0
    live.kill()


def test_a_queue_that_somebody_waits_for_is_owed_nothing(live: LiveBroker) -> None:
    queue, idle = live.declare(), live.declare()
    waiting = Waiting()
    live.append(queue, b"before")
    queue.dispatcher = waiting
    live.append(queue, b"a")
    live.append(idle, b"x")
    live.append(queue, b"b")
    assert owed_count(live) == 1
    live.end_turn()
    assert waiting.dispatches_count == 1
    queue.dispatcher = None
    live.append(queue, b"c")
    live.end_turn()
    assert (waiting.dispatches_count, owed_count(live)) == (1, 1)
    assert bodies(queue) == [b"before", b"a", b"b", b"c"]


def test_a_batch_for_one_who_waits_comes_behind_what_is_owed_to_the_others(
    live: LiveBroker,
) -> None:
    busy, idle = live.declare(), live.declare()
    busy.dispatcher = Waiting()
    live.append(idle, b"a")
    publish(live, [(live.broker.route([busy, idle]), b"b")])
    live.append(idle, b"c")
    assert bodies(idle) == [b"a", b"b", b"c"]


def test_much_is_entered_unasked(live: LiveBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_OWED_COUNT_MAX", 10)
    queue = live.declare()
    for _ in range(9):
        live.append(queue, b"x")
    assert owed_count(live) == 9
    live.append(queue, b"x")
    assert owed_count(live) == 0


@pytest.mark.usefixtures("grouped")
def test_a_crash_gives_the_offsets_of_what_was_owed_to_others(live: LiveBroker) -> None:
    queue = live.declare()
    route = live.broker.route([queue])
    publish(live, [(route, b"transient")], durable=False)
    publish(live, [(route, b"kept")])
    live = live.crash()
    queue = live.queue(queue.id)
    assert (queue.max_offset, bodies(queue)) == (1, [b"kept"])
    publish(live, [(live.broker.route([queue]), b"transient")], durable=False)
    publish(live, [(live.broker.route([queue]), b"more")])
    assert queue.max_offset == 3, "now they are known, and stay"
    live.broker.turn.end()
    live = live.crash()
    queue = live.queue(queue.id)
    assert (queue.max_offset, bodies(queue)) == (3, [b"kept", b"more"])


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("seed", range(20))
def test_it_makes_no_difference_when_entries_are_made(tmp_path: Path, seed: int) -> None:
    """The same publishes, entered at once and later: the same queues, the same references."""
    late, at_once = LiveBroker(tmp_path / "late"), LiveBroker(tmp_path / "at-once")
    logs = []
    for live in (late, at_once):
        chance = random.Random(seed)
        queues = [live.declare(durable=chance.random() < 0.5) for _ in range(6)]
        routes = [
            live.broker.route(queues_of)
            for queues_of in (*([queue] for queue in queues[:4]), queues[3:5], queues[4:])
        ]
        in_turns = cycle(routes[: 2 + seed % 5])
        log: list[object] = []
        for _ in range(60):
            if live is at_once:
                assert queues[0].ready_count >= 0
            act = chance.random()
            if act < 0.7:
                chosen = chance.choices(routes, k=chance.choice((1, 2, 5, 20)))
                if seed % 3 == 0:
                    chosen = list(islice(in_turns, len(chosen)))
                elif chance.random() < 0.3:
                    chosen = sorted(chosen, key=lambda route: route.queues[0].id)
                items = [(route, b"%d" % chance.randrange(1000)) for route in chosen]
                publish(live, items, durable=chance.random() < 0.5)
            elif act < 0.8:
                _look(chance.choice(queues), chance, log)
            elif act < 0.9:
                live.broker.turn.end()
            else:
                queue = chance.choice(queues)
                queue.dispatcher = None if queue.dispatcher else Waiting()
        log += [(queue.ready_count, queue.max_offset, bodies(queue)) for queue in queues]
        log.append(sorted(batch.references for batch in live.broker._store._volatile.values()))
        logs.append(log)
        live.kill()
    assert logs[0] == logs[1]


def _look(queue: LightQueue, chance: random.Random, log: list[object]) -> None:
    if chance.random() < 0.5:
        for start, messages, _ in queue.take(3):
            log.append((start, list(messages)))
            queue.settle(start, start + len(messages))
    else:
        log.append(queue.purge())


def test_the_last_reference_lets_a_transient_batch_go(live: LiveBroker) -> None:
    queues = [live.declare(durable=False) for _ in range(3)]
    routes = [live.broker.route([queue]) for queue in queues]
    publish(live, [(route, b"x") for route in routes] * 2, durable=False)
    for queue in queues:
        assert live.broker._store._volatile
        take_all(queue)
        queue.settle(0, 2)
    assert not live.broker._store._volatile


@pytest.mark.usefixtures("grouped")
def test_a_deleted_queue_gets_nothing_by_a_route_that_was_kept(live: LiveBroker) -> None:
    queue = live.declare(durable=False)
    route = live.broker.route([queue])
    live.broker.delete_queue(queue)
    publish(live, [(route, b"x")] * 4, durable=False)
    live.broker._indexing.settle()
    assert not live.broker._store._volatile
    assert not queue.ready_count
