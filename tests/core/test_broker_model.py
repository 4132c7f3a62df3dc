"""The whole core against a model: queues, with and without lanes, are lists of messages.

Batches to any queues by fresh and by kept routes, timers, rewinds, groups that read along,
checkpoints, some of which fail, deleted queues; a crash or a restart at any point, also one that
takes the files of the indexes away, or the end of the log. Indexes and transient batches are
spilled all the time, or never.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from core import handing
from core.handing import Handed
from core.lanes import AnyQueue, Lanes
from core.light_queue import LightQueue
from core.rewind import SinceOffset
from core.route import Route
from core.timer_record import Timer
from core.timers import DueTimer
from tests.support.chunks import use_small_chunks
from tests.support.live_broker import ORIGIN, LiveBroker, cut_log

_LEVEL_MAX = 2
_COUNT = 4  # Of the queues; the last one has lanes.
_TRANSIENT = 1  # This one does not survive a restart.
_FRESH, _IN_FLIGHT, _DONE = "fresh", "in flight", "done"

PLACES = st.lists(
    st.tuples(st.sets(st.integers(0, _COUNT - 1), min_size=1), st.integers(0, _LEVEL_MAX)),
    min_size=1,
    max_size=6,
)


@dataclass
class Item:
    """A message in one queue."""

    serial: int
    level: int
    is_kept: bool
    state: str = _FRESH
    offset: int = -1  # While it is in flight.
    is_unsure: bool = False  # Would a crash, now, forget how it came to its state?
    is_delivered: bool = False  # Was it ever, and
    is_known: bool = False  # would it be known after a crash, now?
    log_end: int = 0  # Behind its record.


@dataclass
class Modelled:
    """A queue, and what it should be."""

    queue: AnyQueue
    items: list[Item] = field(default_factory=list)

    def of(self, state: str) -> list[Item]:
        found = [item for item in self.items if item.state == state]
        return sorted(found, key=lambda item: (-item.level, item.serial))

    def ready(self) -> list[int]:
        """What is ready in fact, in order."""
        return [
            int(body)
            for _, lane in sorted(self.queue.lanes.items(), reverse=True)
            for offset, body in lane.read(lane.min_offset, 10_000)
            if lane.is_ready(offset)
        ]


def take_away(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes()))


HARMS: list[Callable[[Path], None]] = [take_away, cut, damage]


def harm_indexes(folder: Path, harm: Callable[[Path], None]) -> None:
    """Do that to all files to which indexes were spilled."""
    for path in (folder / "index").glob("*"):
        harm(path)


class Waiting:
    """Somebody who waits for messages, and takes none."""

    def dispatch(self) -> None:
        """Nothing is wanted."""


class Eager:
    """Takes two new messages of three as they come, or three batches of four.

    Several queues may have the same; `settles` says that he is done with what he took.
    """

    def __init__(self, settles: bool) -> None:
        self.settles = settles
        self.asked_count = 0
        self.batches: dict[Handed, list[Item]] = {}

    def take(self, modelled: Modelled, body: bytes) -> Item:
        item = modelled.of(_FRESH)[0]
        assert item.serial == int(body), "another one waits before it"
        item.state, item.is_unsure = (_DONE, True) if self.settles else (_IN_FLIGHT, False)
        item.is_delivered = True
        return item

    def take_all(self, handed: Handed, messages: Sequence[bytes]) -> bool:
        self.asked_count += 1
        if self.asked_count % 4 == 0:
            return False
        takers: Sequence[EagerTaker] = handed.takers
        items = [
            self.take(taker.modelled, body) for taker, body in zip(takers, messages, strict=True)
        ]
        if not self.settles:
            self.batches[handed] = items
        return True

    def done(self, handed: Handed) -> None:
        del self.batches[handed]

    def entered(self, handed: Handed, offsets: Sequence[int]) -> None:
        items = self.batches.pop(handed)[handed.settled_count :]
        for item, offset in zip(items, offsets, strict=True):
            item.offset = offset


class EagerTaker:
    """One queue's."""

    def __init__(self, modelled: Modelled, receiver: Eager) -> None:
        self.modelled = modelled
        self.receiver = receiver

    def take_one(self, offset: int, body: bytes) -> bool:
        self.receiver.asked_count += 1
        if self.receiver.asked_count % 3 == 0:
            return False
        self.receiver.take(self.modelled, body).offset = offset
        return True


class BrokerMachine(RuleBasedStateMachine):
    live: LiveBroker
    owner = 0

    @initialize(
        reclaims=st.booleans(),
        distance=st.sampled_from([1 << 11, 1 << 30]),
        runs_in_memory=st.sampled_from([0, 4, 1 << 18]),
        stretch_run_count=st.sampled_from([1, 3]),
        owed_count_max=st.sampled_from([20, 1 << 14]),
        handed_count_min=st.sampled_from([1, 4]),
        volatile_size=st.sampled_from([0, 2000, 1 << 20]),
    )
    def begin(
        self,
        reclaims: bool,
        distance: int,
        runs_in_memory: int,
        stretch_run_count: int,
        owed_count_max: int,
        handed_count_min: int,
        volatile_size: int,
    ) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(handing, "_OWED_COUNT_MAX", owed_count_max)
        self.patch.setattr(handing, "_COUNT_MIN", handed_count_min)
        use_small_chunks(self.patch)
        self.folder = Path(tempfile.mkdtemp())
        self.reclaims = reclaims
        self.live = LiveBroker(
            self.folder / "data",
            checkpoint_distance=distance,
            retention_s=0.0 if reclaims else 1e9,
            runs_in_memory=runs_in_memory,
            stretch_run_count=stretch_run_count,
            volatile_size=volatile_size,
        )
        self.owner = self.live.broker.add_timer_owner("ours", self.fire)
        self.queues = [self.declare(index) for index in range(_COUNT)]
        self.kept: list[tuple[Route, list[Modelled], int]] = []
        self.eager: list[Eager] = []
        self.serial = 0
        self.now_s = 0.0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            try:
                self.counts_are_right()
                self.nothing_is_leaked()
            finally:
                self.patch.undo()
            self.live.kill()
            shutil.rmtree(self.folder)

    # Messages

    @rule(places=PLACES, durable=st.booleans(), mixed=st.booleans(), repeat=st.sampled_from([1, 9]))
    def publish(
        self, places: list[tuple[set[int], int]], durable: bool, mixed: bool, repeat: int
    ) -> None:
        chosen = [([self.queues[index] for index in sorted(at)], level) for at, level in places]
        found = [(*each, self.route(*each)) for each in chosen * repeat]
        self.append([(route, to, level) for to, level, route in found], durable, mixed)

    @rule(at=st.sets(st.integers(0, _COUNT - 1), min_size=1), level=st.integers(0, _LEVEL_MAX))
    def keep_route(self, at: set[int], level: int) -> None:
        to = [self.queues[index] for index in sorted(at)]
        self.kept.append((self.route(to, level), to, level))

    @precondition(lambda self: self.kept)
    @rule(number=st.integers(0, 99), durable=st.booleans())
    def publish_by_kept_route(self, number: int, durable: bool) -> None:
        route, to, level = self.kept.pop(number % len(self.kept))
        self.append([(route, to, level)] * 2, durable, False)

    @rule(index=st.integers(0, _COUNT - 1), count=st.integers(1, 20))
    def take(self, index: int, count: int) -> None:
        modelled = self.queues[index]
        got = [
            (offset, body, redelivered)
            for start, messages, redelivered in modelled.queue.take(count)
            for offset, body in enumerate(messages, start)
        ]
        expected = modelled.of(_FRESH)[:count]
        assert [int(body) for _, body, _ in got] == [item.serial for item in expected]
        for item, (offset, _, redelivered) in zip(expected, got, strict=True):
            assert redelivered or not item.is_delivered
            item.state, item.offset, item.is_delivered = _IN_FLIGHT, offset, True

    @rule(index=st.integers(0, _COUNT - 1), number=st.integers(0, 99), settles=st.booleans())
    def give_back(self, index: int, number: int, settles: bool) -> None:
        modelled = self.queues[index]
        self.live.broker.handing.enter_all()
        in_flight = modelled.of(_IN_FLIGHT)
        for item in in_flight[number % 7 :: 1 + number % 3]:
            if settles:
                modelled.queue.settle(item.offset, item.offset + 1)
                item.state, item.is_unsure = _DONE, True
            else:
                modelled.queue.release([item.offset])
                item.state = _FRESH

    @rule(index=st.integers(0, _COUNT - 1))
    def purge(self, index: int) -> None:
        modelled = self.queues[index]
        fresh = modelled.of(_FRESH)
        assert modelled.queue.purge() == len(fresh)
        for item in fresh:
            item.state, item.is_unsure = _DONE, True

    # Queues

    @rule(index=st.integers(0, _COUNT - 1))
    def declare_again(self, index: int) -> None:
        self.live.broker.delete_queue(self.queues[index].queue)
        self.queues[index].items.clear()
        self.queues[index] = self.declare(index)

    @rule(index=st.integers(0, _COUNT - 1), waits=st.booleans())
    def watch(self, index: int, waits: bool) -> None:
        self.queues[index].queue.dispatcher = Waiting() if waits else None

    @rule(at=st.sets(st.integers(0, _COUNT - 2), min_size=1), settles=st.booleans())
    def take_what_comes(self, at: set[int], settles: bool) -> None:
        eager = Eager(settles)
        self.eager.append(eager)
        for index in at:
            modelled = self.queues[index]
            assert isinstance(modelled.queue, LightQueue)
            modelled.queue.dispatcher = Waiting()
            modelled.queue.hand_to(EagerTaker(modelled, eager))

    @rule(number=st.integers(0, 99), count=st.integers(1, 9))
    def settle_batches(self, number: int, count: int) -> None:
        """Of what was taken as a batch, the first messages are done with."""
        batches = [(eager, handed) for eager in self.eager for handed in eager.batches]
        if not batches:
            return
        eager, handed = batches[number % len(batches)]
        first, end = handed.settled_count, handed.settled_count + min(count, handed.left_count)
        for item in eager.batches[handed][first:end]:
            item.state, item.is_unsure = _DONE, True
        self.live.broker.handing.settle(handed, end - first)

    @rule(index=st.integers(0, _COUNT - 2), ahead=st.integers(0, 99))
    def commit_group_offset(self, index: int, ahead: int) -> None:
        """Another group reads along, from any place on."""
        queue = self.queues[index].queue
        assert isinstance(queue, LightQueue)
        offset = queue.min_offset + ahead % (queue.max_offset - queue.min_offset + 1)
        self.live.broker.commit_group_offset(queue, "other", offset)

    @precondition(lambda self: not self.live.disk.held)
    @rule(index=st.sampled_from([index for index in range(_COUNT) if index != _TRANSIENT]))
    def rewind(self, index: int) -> None:
        modelled = self.queues[index]
        results: list[int | BaseException] = []
        before = modelled.queue.ready_count
        lanes = list(modelled.queue.lanes.values())
        self.live.broker.rewind(lanes, SinceOffset(0), results.append)
        while not results:
            self.live.clock.advance(0)
        for item in modelled.items:
            item.is_unsure = False
        found = set(modelled.ready())
        assert results == [len(found) - before]
        for item in modelled.of(_DONE):
            if item.is_kept and (not self.reclaims or item.serial in found):
                item.state = _FRESH

    # Time

    @rule(index=st.integers(0, _COUNT - 1), delay_s=st.integers(0, 3), count=st.integers(1, 3))
    def delay(self, index: int, delay_s: int, count: int) -> None:
        at_ms = int((self.now_s + delay_s) * 1000)
        timers = [Timer(at_ms, self.owner, ORIGIN, b"%d" % index) for _ in range(count)]
        self.live.broker.timers.append(timers)

    @precondition(lambda self: not self.live.disk.held)
    @rule(by_s=st.sampled_from([0.0, 1.0, 61.0]))
    def advance(self, by_s: float) -> None:
        self.now_s += by_s
        self.live.clock.advance(by_s)
        self.live.clock.advance(0)
        self.end_turn()

    # Ends

    @rule()
    def end_turn(self) -> None:
        self.live.end_turn()
        for modelled in self.queues:
            for item in modelled.items:
                item.is_unsure = False
                item.is_known = item.is_delivered

    @rule(held=st.booleans())
    def hold_disk(self, held: bool) -> None:
        if held:
            self.live.disk.held = True
        else:
            self.live.disk.release()

    @rule()
    def checkpoint(self) -> None:
        self.end_turn()
        self.live.broker._checkpointing.begin()

    @precondition(lambda self: not self.live.disk.held)
    @rule()
    def fail_checkpoint(self) -> None:
        """It cannot be written, as a folder is in its place; the journals go on in new files."""
        self.end_turn()
        obstacle = self.live.directory / "checkpoint.new"
        obstacle.mkdir()
        self.live.broker._checkpointing.begin()
        self.end_turn()
        obstacle.rmdir()

    @rule(ends_turn=st.booleans())
    def crash(self, ends_turn: bool) -> None:
        if ends_turn:
            self.end_turn()
        self.go_on(self.live.crash(ends_turn))

    @rule(harm=st.sampled_from(HARMS))
    def crash_and_lose_indexes(self, harm: Callable[[Path], None]) -> None:
        """What was done may come again then, as long as nothing else is lost."""
        self.end_turn()
        for modelled in self.queues:
            for item in modelled.items:
                item.is_unsure = True
        self.go_on(self.live.crash(meanwhile=lambda folder: harm_indexes(folder, harm)))

    @rule(share=st.floats(0, 1), ends_turn=st.booleans())
    def lose_power(self, share: float, ends_turn: bool) -> None:
        """The journals are whole, but the log ends behind any record that no checkpoint covers."""
        if ends_turn:
            self.end_turn()
        start, end = self.live.broker._checkpointing._log_offset, self.live.broker.log_end
        ends = {item.log_end for modelled in self.queues for item in modelled.items}
        cuts = sorted(each for each in {*ends, end} if each >= start)
        cut = cuts[int(share * (len(cuts) - 1))]
        for modelled in self.queues:
            modelled.items = [item for item in modelled.items if item.log_end <= cut]
        self.go_on(self.live.crash(ends_turn, lambda folder: cut_log(folder, cut)))

    @rule()
    def restart(self) -> None:
        self.live.disk.release()
        self.end_turn()
        self.go_on(self.live.restart())

    @rule()
    def counts_are_right(self) -> None:
        for modelled in self.queues:
            assert modelled.queue.in_flight_count == len(modelled.of(_IN_FLIGHT))

    def nothing_is_leaked(self) -> None:
        """When all is done with, no transient batch is left."""
        for modelled in self.queues:
            for item in modelled.of(_IN_FLIGHT):
                modelled.queue.settle(item.offset, item.offset + 1)
            self.live.broker.delete_queue(modelled.queue)
        store = self.live.broker._store
        assert (store._volatile, store._volatile_size) == ({}, 0)
        assert not any(store._spill_references.values())

    # The rest is no rule

    def declare(self, index: int) -> Modelled:
        return Modelled(self.arrange(self.live.declare(durable=index != _TRANSIENT), index))

    def arrange(self, light: LightQueue, index: int) -> AnyQueue:
        return light if index < _COUNT - 1 else self.live.broker.lanes(light, _LEVEL_MAX)

    def route(self, to: Sequence[Modelled], level: int) -> Route:
        lights = [
            each.queue.lane(level) if isinstance(each.queue, Lanes) else each.queue for each in to
        ]
        return self.live.broker.route(lights)

    def append(
        self, found: Sequence[tuple[Route, Sequence[Modelled], int]], durable: bool, mixed: bool
    ) -> None:
        routes, bodies, items = [], [], []
        for position, (route, to, level) in enumerate(found):
            is_kept = durable and not (mixed and position % 2)
            # Of a batch that is not in the log, the route's number does not matter.
            routes.append(
                route if is_kept or not (durable or position % 3) else route.without_restart
            )
            bodies.append(b"%d" % self.serial)
            for modelled in to:
                if not modelled.queue.deleted:
                    lane = level if isinstance(modelled.queue, Lanes) else 0
                    item = Item(self.serial, lane, is_kept and modelled.queue.durable)
                    modelled.items.append(item)
                    items.append(item)
            self.serial += 1
        self.live.append(routes, *bodies, durable=durable)
        for item in items:
            item.log_end = self.live.broker.log_end

    def fire(self, due: Sequence[DueTimer], on_stored: Callable[[], None]) -> None:
        found = []
        for timer in due:
            to = [self.queues[int(timer.stored)]]
            found.append((self.route(to, 0), to, 0))
        self.append(found, True, False)
        self.live.broker.when_durable(on_stored)

    def go_on(self, live: LiveBroker) -> None:
        """It was started again: kept and not settled is ready, whatever is sure is so."""
        self.live = live
        self.kept.clear()
        self.eager.clear()
        live.broker.timers.add_owner(self.owner, self.fire)
        self.queues[_TRANSIENT] = self.declare(_TRANSIENT)
        for index, modelled in enumerate(self.queues):
            if index == _TRANSIENT:
                continue
            modelled.queue = self.arrange(live.queue(modelled.queue.id), index)
            found = modelled.ready()
            modelled.items = [item for item in modelled.items if item.is_kept]
            for item in modelled.items:
                if item.state == _IN_FLIGHT or (item.is_unsure and item.serial in found):
                    item.state = _FRESH
                item.is_unsure, item.is_delivered = False, item.is_known
            assert found == [item.serial for item in modelled.of(_FRESH)]
        live.clock.advance(self.now_s)
        live.clock.advance(0)
        self.end_turn()


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
