from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from core.checkpoint import read_checkpoint
from tests.support.disk import FullDisk
from tests.support.live_broker import ORIGIN, LiveBroker, bodies, take_all


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def test_a_fan_out_stores_the_body_once(live: LiveBroker) -> None:
    queues = [live.declare() for _ in range(1000)]
    route = live.broker.route(queues)
    live.append(route, b"first")
    before = live.broker.log_end
    live.append(route, b"x" * 3000)
    assert live.broker.log_end - before == 3000 + 44
    live = live.crash()
    for queue in queues:
        assert bodies(live.queue(queue.id)) == [b"first", b"x" * 3000]


def test_a_route_is_written_down_once(live: LiveBroker) -> None:
    queues = [live.declare(), live.declare(durable=False), live.declare()]
    route = live.broker.route(queues)
    size = (live.directory / "metadata").stat().st_size
    assert live.broker.route(queues).id == route.id
    assert live.broker.route([queues[0], queues[2]]).id == route.id, "the durable ones count"
    assert live.broker.route([queues[1]]).id == 0
    assert (live.directory / "metadata").stat().st_size == size
    live = live.restart()
    assert live.broker.route([live.queue(queues[0].id), live.queue(queues[2].id)]).id == route.id


class TestDurability:
    def test_nothing_is_confirmed_before_the_disk_has_it(self, live: LiveBroker) -> None:
        notes: list[str] = []
        live.disk.held = True
        live.append(live.declare(), b"a")
        live.broker.when_durable(lambda: notes.append("a"))
        live.end_turn()
        live.append(live.declare(), b"b")
        live.broker.when_durable(lambda: notes.append("b"))
        live.end_turn()
        assert notes == []
        live.disk.release_one()
        assert notes == ["a"]
        live.disk.release_one()
        assert notes == ["a", "b"]

    def test_asynchronously_written_is_durable(self, tmp_path: Path) -> None:
        live = LiveBroker(tmp_path / "data", sync_flush=False)
        live.disk.held = True
        notes: list[str] = []
        live.append(live.declare(), b"a")
        live.broker.when_durable(lambda: notes.append("a"))
        assert notes == ["a"]
        assert not live.disk.waiting
        live.clock.advance(1)
        assert live.disk.waiting, "but it is brought there soon"

    def test_a_disk_that_cannot_flush_confirms_nobody(
        self, live: LiveBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(descriptor: int) -> None:
            raise OSError("I/O error")

        notes: list[str] = []
        queue = live.declare()
        monkeypatch.setattr(os, "fdatasync", refuse)
        for name in ("a", "b"):
            live.append(queue, b"x")
            live.broker.when_durable(partial(notes.append, name))
            live.end_turn()
        monkeypatch.undo()
        live.append(queue, b"x")
        live.broker.when_durable(lambda: notes.append("c"))
        live.clock.advance(1)
        assert notes == []
        assert [str(error) for error in live.failures] == ["I/O error"]

    def test_who_writes_more_than_the_disk_takes_is_told_when_it_caught_up(
        self, tmp_path: Path
    ) -> None:
        live = LiveBroker(tmp_path / "data", unflushed_size_max=1000)
        notes: list[str] = []
        queue = live.declare()
        live.disk.held = True
        live.append(queue, b"x" * 2000)
        assert live.broker.congested
        live.broker.when_relieved(lambda: notes.append("relieved"))
        live.clock.advance(1)
        assert notes == []
        live.disk.release()
        assert notes == ["relieved"]
        assert not live.broker.congested


class TestFullDisk:
    def test_a_batch_is_appended_whole_or_not(
        self, live: LiveBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = live.declare()
        live.append(queue, b"before")
        disk = FullDisk(monkeypatch, 60)
        with pytest.raises(OSError, match="No space left"):
            live.append(queue, b"a", b"b" * 100)
        assert (queue.ready_count, queue.max_offset) == (1, 1)
        disk.room = 1 << 20
        live.append(queue, b"behind")
        live = live.crash()
        assert bodies(live.queue(queue.id)) == [b"before", b"behind"]

    def test_what_cannot_be_declared_is_not_there(
        self, live: LiveBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queues = [live.declare(), live.declare()]
        disk = FullDisk(monkeypatch, 5)
        with pytest.raises(OSError, match="No space left"):
            live.declare()
        with pytest.raises(OSError, match="No space left"):
            live.broker.route(queues)
        ids = [queue.id for queue in queues]
        assert list(live.broker.queues) == ids
        disk.room = 1 << 20
        live.append(live.broker.route(queues), b"a")
        other = live.declare()
        live = live.crash()
        assert list(live.broker.queues) == [*ids, other.id]
        assert [bodies(live.queue(id)) for id in ids] == [[b"a"], [b"a"]]

    def test_what_was_settled_is_written_down_later(
        self, live: LiveBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = live.declare()
        live.append(queue, b"a", b"b")
        bodies(queue)
        queue.settle(0, 1)
        disk = FullDisk(monkeypatch, 5)
        live.end_turn()
        live.clock.advance(5)
        disk.room = 1 << 20
        live.clock.advance(1)
        live = live.crash()
        assert bodies(live.queue(queue.id)) == [b"b"]


class TestCheckpoints:
    def test_one_is_made_when_much_was_written(self, tmp_path: Path) -> None:
        live = LiveBroker(tmp_path / "data", checkpoint_distance=2000)
        queue = live.declare()
        live.append(queue, b"x" * 1000)
        live.end_turn()
        assert not (live.directory / "checkpoint").exists()
        live.append(queue, b"x" * 1000)
        live.end_turn()
        assert read_checkpoint(live.directory / "checkpoint").log_offset == live.broker.log_end
        assert [path.name for path in (live.directory / "progress").iterdir()] == [
            "progress.0000000001"
        ]

    @pytest.mark.parametrize("does", ["append", "settle"])
    def test_many_small_writes_are_much(self, tmp_path: Path, does: str) -> None:
        """Recovery reads each of them."""
        live = LiveBroker(tmp_path / "data")
        queue = live.declare()
        live.append(queue, *[b""] * 10_000)
        live.end_turn()
        live.broker._checkpointing._distance = 1 << 20
        for number in range(10_000):
            if does == "append":
                live.append(queue, b"")
            else:
                queue.take(1)
                queue.settle(number, number + 1)
            live.end_turn()
        assert 2 <= live.broker._progress.number <= 8

    def test_it_waits_until_the_log_is_durable(self, live: LiveBroker) -> None:
        live.append(live.declare(), b"x")
        live.disk.held = True
        live.broker._checkpointing.begin()
        live.end_turn()
        live.disk.release_one()
        assert not (live.directory / "checkpoint").exists()
        live.disk.release()
        assert (live.directory / "checkpoint").exists()

    def test_one_that_fails_leaves_everything_as_it_was(
        self, live: LiveBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = live.declare()
        live.append(queue, b"a", b"b")
        bodies(queue)
        queue.settle(0, 1)
        live.end_turn()

        def refuse(*paths: Any) -> None:
            raise OSError("I/O error")

        monkeypatch.setattr(os, "replace", refuse)
        live.broker._checkpointing.begin()
        monkeypatch.undo()
        queue.settle(1, 2)
        live = live.crash()
        assert bodies(live.queue(queue.id)) == []
        assert live.failures == []

    def test_one_on_its_way_at_the_stop_does_not_come_later(self, live: LiveBroker) -> None:
        """It would bring back what was settled, for the stop has deleted the journal behind it."""
        queue = live.declare()
        live.append(queue, b"a")
        live.end_turn()
        live.disk.held = True
        live.broker._checkpointing.begin()
        bodies(queue)
        queue.settle(0, 1)
        live.broker.stop()
        live.disk.release()
        again = LiveBroker(live.directory)
        assert bodies(again.queue(queue.id)) == []


def test_a_stop_leaves_nothing_running(live: LiveBroker) -> None:
    live.append(live.declare(), b"a")
    live.broker.stop()
    assert live.clock.getDelayedCalls() == []
    live.end_turn()


def test_another_group_reads_what_the_queues_own_has_settled(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, b"a", b"b", b"c")
    live.broker.commit_group_offset(queue, "reader", 1)
    bodies(queue)
    queue.settle(0, 3)
    for is_crash in (True, False):
        live = live.crash() if is_crash else live.restart()
        queue = live.queue(queue.id)
        assert queue.group_offsets == {"reader": 1}
        assert queue.read(1, 9) == [(1, b"b"), (2, b"c")]
        assert queue.ready_count == 0
    live.broker.commit_group_offset(queue, "reader", 3)
    assert queue.read(0, 9) == []


def test_a_deleted_queue_takes_its_groups_along(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, b"a")
    taken = take_all(queue)
    live.broker.commit_group_offset(queue, "reader", 0)
    live.broker.delete_queue(queue)
    queue.settle(0, 1)
    queue.release([0])
    assert taken
    assert live.broker.documents("group") == {}
    live = live.restart()
    assert live.broker.queues == {}


def test_documents_are_what_was_put_last(live: LiveBroker) -> None:
    live.broker.put_document("exchange", "a", [1])
    live.broker.put_document("exchange", "a", [2])
    live.broker.put_document("exchange", "b", [3])
    live.broker.delete_document("exchange", "b")
    assert live.crash().broker.documents("exchange") == {"a": [2]}


def test_a_message_is_found_by_its_log_offset(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, b"a", b"bb", b"")
    live.append(queue, b"ccc")
    queue_route = live.broker.route([queue])
    assert live.broker.queues_of_route(queue_route.id) == [queue]
    for offset, message in enumerate([b"a", b"bb", b"", b"ccc"]):
        log_offset, timestamp_ms = queue.location(offset)
        if message:
            assert live.broker.read_at(log_offset) == (ORIGIN, message, 0, queue_route.id)
            assert live.broker.read_at(log_offset + len(message)) != live.broker.read_at(log_offset)
        assert timestamp_ms == 0
    assert live.broker.read_at(0) is None
    assert live.broker.read_at(live.broker.log_end) is None


def test_offsets_are_found_by_time(live: LiveBroker) -> None:
    queue = live.declare()
    assert isinstance(live.clock, Clock)
    for _ in range(5):
        live.append(queue, b"a", b"b")
        live.clock.advance(10)
    assert [queue.search_timestamp(ms) for ms in (0, 1, 10_000, 40_000, 40_001)] == [0, 2, 2, 8, 10]
