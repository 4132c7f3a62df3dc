"""A broker with its queues against a simple model: what is where, in which order, and what is left.

The model knows nothing of records, runs, segments, caches, spill files, journals or checkpoints.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.light_queue import LightQueue
from tests.support.chunks import use_small_chunks
from tests.support.live_broker import SMALL, LiveBroker, take_all


class Model:
    """One queue as sets of offsets."""

    def __init__(self) -> None:
        self.body: dict[int, bytes] = {}
        self.kept: set[int] = set()  # A restart brings them back.
        self.ready: set[int] = set()
        self.in_flight: set[int] = set()
        self.delivered: set[int] = set()
        self.passed: set[int] = set()  # Taken for delivered after a restart, if others were.
        self.max_offset = 0
        self.group: int | None = None

    def append(self, body: bytes, is_kept: bool) -> None:
        self.body[self.max_offset] = body
        self.ready.add(self.max_offset)
        if is_kept:
            self.kept.add(self.max_offset)
        self.max_offset += 1

    def after_restart(self) -> None:
        self.ready |= self.in_flight
        self.in_flight.clear()
        self.ready &= self.kept
        self.passed |= set(range(max(self.delivered, default=-1))) - self.delivered
        self.body = {offset: self.body[offset] for offset in self.kept}

    @property
    def held_from(self) -> int:
        """Everything from here on can still be read, by one group or the other."""
        unsettled = min(self.ready | self.in_flight, default=self.max_offset)
        return unsettled if self.group is None else min(unsettled, self.group)


NAMES = ("durable", "durable, too", "volatile")
GROUP = "reader"
SETS = st.sets(st.sampled_from(NAMES), min_size=1)
QUEUES = st.sampled_from(NAMES)


class BrokerMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, the broker is as the model says."""

    options = {"segment_size": 700, "cache_size": 400, "volatile_size": 700}

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.serial = 0

    @initialize(take_size=st.sampled_from([1, 300, 256 << 10]))
    def begin(self, take_size: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("core.light_queue.TAKE_SIZE_MAX", take_size)
        use_small_chunks(self.patch)
        self.patch.setattr("os.fsync", lambda descriptor: None)
        self.patch.setattr("os.fdatasync", lambda descriptor: None)
        self.live = LiveBroker(self.folder / "data", SMALL, **self.options)
        self.queues = {name: self.live.declare(name != "volatile") for name in NAMES}
        self.models = {name: Model() for name in NAMES}
        self.end_turn()

    @rule(
        names=SETS,
        batch=st.lists(
            st.tuples(st.booleans(), st.sampled_from([1, 9, 200])), min_size=1, max_size=4
        ),
    )
    def append(self, names: set[str], batch: list[tuple[bool, int]]) -> None:
        """A batch of persistent and other messages, as the virtual hosts publish it."""
        route = self.live.broker.route([self.queues[name] for name in sorted(names)])
        kept = [persistent and bool(route.id) for persistent, _ in batch]
        messages = [self.message(size) for _, size in batch]
        routes = [route if is_kept else route.without_restart for is_kept in kept]
        self.live.append(routes, *messages, durable=any(kept))
        for name in names:
            for message, is_kept in zip(messages, kept, strict=True):
                self.models[name].append(message, is_kept and name != "volatile")
                if is_kept and name != "volatile":
                    self.appended[name].append(message)

    def message(self, size: int) -> bytes:
        self.serial += 1
        return b"%d." % self.serial + b"x" * size

    @rule(name=QUEUES, count=st.integers(1, 6))
    def take(self, name: str, count: int) -> None:
        model = self.models[name]
        spans = self.queues[name].take(count)
        taken = [
            (offset, bytes(message), redelivered)
            for first, messages, redelivered in spans
            for offset, message in enumerate(messages, first)
        ]
        offsets = [offset for offset, _, _ in taken]
        assert len(offsets) <= count
        assert offsets == sorted(model.ready)[: len(offsets)]
        assert offsets or not model.ready
        for offset, message, redelivered in taken:
            assert message == model.body[offset]
            assert redelivered == (offset in model.delivered) or offset in model.passed
        model.ready -= set(offsets)
        model.in_flight |= set(offsets)
        model.delivered |= set(offsets)

    @rule(name=QUEUES, data=st.data())
    def take_at(self, name: str, data: st.DataObject) -> None:
        """Somebody choosy looks at what is ready, and takes one out of its turn."""
        model, queue = self.models[name], self.queues[name]
        seen: dict[int, bytes] = {}
        position = 0
        while position < queue.max_offset:
            entries, position = queue.ready_from(position, 3)
            assert len(entries) <= 3
            seen |= {offset: bytes(message) for offset, message in entries}
        returned = sorted(queue.window.returned)
        assert sorted([*seen, *returned]) == sorted(model.ready)
        assert all(message == model.body[offset] for offset, message in seen.items())
        if model.ready:
            offset = data.draw(st.sampled_from(sorted(model.ready)))
            redelivered = queue.take_at(offset)
            assert redelivered == (offset in model.delivered) or offset in model.passed
            model.ready.remove(offset)
            model.in_flight.add(offset)
            model.delivered.add(offset)

    @rule(name=QUEUES, data=st.data())
    def settle(self, name: str, data: st.DataObject) -> None:
        model = self.models[name]
        if not model.in_flight:
            return
        start = data.draw(st.sampled_from(sorted(model.in_flight)))
        end = start + 1
        while end in model.in_flight and data.draw(st.booleans()):
            end += 1
        self.queues[name].settle(start, end)
        model.in_flight -= set(range(start, end))

    @rule(name=QUEUES, data=st.data())
    def release(self, name: str, data: st.DataObject) -> None:
        model = self.models[name]
        if model.in_flight:
            offsets = data.draw(st.sets(st.sampled_from(sorted(model.in_flight)), max_size=4))
            self.queues[name].release(offsets)
            model.in_flight -= offsets
            model.ready |= offsets

    @rule(name=QUEUES)
    def purge(self, name: str) -> None:
        model = self.models[name]
        assert self.queues[name].purge() == len(model.ready)
        model.ready.clear()

    @rule(name=QUEUES, data=st.data())
    def commit_group_offset(self, name: str, data: st.DataObject) -> None:
        model = self.models[name]
        offset = data.draw(st.integers(model.held_from, model.max_offset))
        self.live.broker.commit_group_offset(self.queues[name], GROUP, offset)
        model.group = offset

    @rule()
    def end_turn(self) -> None:
        self.live.end_turn()
        self.at_turn_end = copy.deepcopy(self.models)
        self.appended: dict[str, list[bytes]] = {name: [] for name in NAMES}

    @rule()
    def checkpoint(self) -> None:
        self.end_turn()
        self.live.broker._checkpointing.begin()

    @rule()
    def hold_the_disk(self) -> None:
        """A checkpoint may be on its way when the broker crashes."""
        self.live.disk.held = True

    @precondition(lambda self: self.live.disk.held)
    @rule()
    def release_the_disk(self) -> None:
        self.live.disk.release()
        self.end_turn()

    @rule()
    def crash_between_turns(self) -> None:
        self.end_turn()
        self.live = self.live.crash()
        self.restarted()

    @rule()
    def crash_within_a_turn(self) -> None:
        """Nothing of the turn was told to anyone; what it appended may be there."""
        self.live = self.live.crash(end_turn=False)
        self.models = self.at_turn_end
        for name in NAMES[:2]:
            for message in self.appended[name]:
                self.models[name].append(message, True)
        self.restarted()

    @rule()
    def stop_and_start(self) -> None:
        self.live.disk.release()
        self.live = self.live.restart()
        self.restarted()

    def restarted(self) -> None:
        self.models["volatile"] = Model()
        for name in NAMES[:2]:
            self.models[name].after_restart()
            self.queues[name] = self.live.queue(self.queues[name].id)
        self.queues["volatile"] = self.live.declare(durable=False)
        self.end_turn()

    @invariant()
    def is_as_the_model_says(self) -> None:
        for name, model in self.models.items():
            queue = self.queues[name]
            assert queue.max_offset == model.max_offset
            assert queue.ready_count == len(model.ready)
            assert queue.window.in_flight_count == len(model.in_flight)
            assert queue.group_offsets.get(GROUP) == model.group
            self.can_be_read(queue, model)

    def can_be_read(self, queue: LightQueue, model: Model) -> None:
        found: list[tuple[int, bytes]] = []
        while more := queue.read(found[-1][0] + 1 if found else 0, 1000):
            found += more
        expected = sorted(offset for offset in model.body if offset >= model.held_from)
        assert [offset for offset, _ in found if offset >= model.held_from] == expected
        for offset, message in found:
            assert message == model.body[offset]

    def teardown(self) -> None:
        try:
            for name, queue in self.queues.items():
                self.live.broker.commit_group_offset(queue, GROUP, queue.max_offset)
                for offset in self.models[name].in_flight:
                    queue.settle(offset, offset + 1)
                queue.purge()
                assert len(queue.index) == 0
            store = self.live.broker._store
            assert not store._volatile
            assert not any(store._spill_references.values())
            assert store._volatile_size == 0
            self.live.disk.release()
            self.live.broker.stop()
        finally:
            self.patch.undo()
            shutil.rmtree(self.folder)


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(max_examples=40, stateful_step_count=40)


def test_a_read_error_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of what is new nor of what was returned: both are there when the disk reads again."""
    live = LiveBroker(tmp_path / "data")
    queue = live.declare()
    live.append(queue, b"returned", b"new")
    queue.take(1)
    queue.release([0])

    def fail(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(live.broker._store, "fetch", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output"):
                queue.take(2)
        assert (queue.ready_count, queue.window.in_flight_count) == (2, 0)
    assert take_all(queue) == [(0, b"returned", True), (1, b"new", False)]
    live.append(queue, b"later")
    with monkeypatch.context() as patch:
        patch.setattr(live.broker._store, "fetch", fail)
        with pytest.raises(OSError, match="Input/output"):
            queue.take(1)
        assert (queue.ready_count, queue.window.in_flight_count) == (1, 2)
    assert take_all(queue) == [(2, b"later", False)]


def test_looking_takes_nothing_and_says_where_to_go_on(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path / "data")
    queue = live.declare()
    live.append(queue, b"0", b"1", b"2")
    live.append(queue, b"3")
    live.append(queue, bytes(300 << 10), b"5")
    assert queue.last_run_offset == 4
    assert queue.look(0, 2) == ([(0, [b"0", b"1"], False)], 2)
    assert queue.look(2, 2) == ([(2, [b"2"], False), (3, [b"3"], False)], 4)
    assert queue.look(4, 9) == ([(4, [bytes(300 << 10)], False)], 5), "a helping is of some size"
    assert queue.look(5, 9) == ([(5, [b"5"], False)], 6)
    assert queue.look(6, 9) == ([], 6)
    assert queue.run_sizes(0, 2) == ([(3, 3), (4, 1)], 4)
    assert queue.run_sizes(4, 2) == ([(6, (300 << 10) + 1)], 6)
    assert (queue.ready_count, queue.window.in_flight_count) == (6, 0)


def test_a_queue_that_keeps_nothing_for_groups_lets_go(tmp_path: Path) -> None:
    """What it drops is gone after a restart, too; a group that has not read it goes without."""
    live = LiveBroker(tmp_path / "data")
    queue = live.declare()
    queue.keep_nothing_for_groups()
    live.append(queue, b"0", b"1")
    live.append(queue, b"2", b"3")
    live.broker.commit_group_offset(queue, "g", 0)
    assert queue.purge(2) == 2
    assert (queue.min_offset, queue.ready_count) == (2, 2)
    assert queue.look(0, 9) == ([(2, [b"2", b"3"], False)], 4)
    live.broker.turn.end()
    live = live.crash()
    queue = live.queue(queue.id)
    assert queue.min_offset == 0
    queue.keep_nothing_for_groups()
    assert (queue.min_offset, queue.ready_count, queue.max_offset) == (2, 2, 4)
    assert queue.purge() == 2
    assert queue.last_run_offset == queue.max_offset == 4
