"""The core's facade: the RocketMQ model behind about fifteen verbs.

It has no logic of its own beyond putting the parts together: see each of them.
Everything happens in one thread, in turns (see `turn`); only flushing files runs elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from core.checkpoint import VERSION, Checkpoint, QueueCheckpoint
from core.checkpointing import Checkpointing
from core.compacting import Compacting
from core.fair_lanes import FairLanes
from core.flushing import Flushing
from core.group_commit import Flush, RunBlocking, flush_blocking
from core.handing import Handing
from core.housekeeping import Housekeeping
from core.ids import Ids
from core.index_log import IndexLog
from core.indexing import Indexing
from core.lanes import AnyQueue, Lanes
from core.light_queue import LightQueue
from core.log_marks import LoggedMessage, LogMarks
from core.metadata import Metadata, sync_directory
from core.options import BrokerOptions
from core.progress import Progress
from core.rebuild import rebuild_one
from core.record import Buffer
from core.recovery import Recovery
from core.rewind import Rewind, SinceTime, Target
from core.route import DependsOn, Route
from core.routes import Routes
from core.spilling import Spilling
from core.store import Store
from core.timer_index import TimerIndex
from core.timer_record import TIMERS
from core.timer_recovery import TimerRecovery
from core.timers import Publish, Timers
from core.turn import Turn
from core.wholeness import refuse_incomplete, report_damage

_ROOM_INTERVAL_S = 1.0  # So often a full disk is tried again.


class Broker:
    """One data folder: log, queues, journals."""

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        clock: IReactorTime,
        run_blocking: RunBlocking,
        options: BrokerOptions,
        failed: Callable[[BaseException], None],
        flush: Flush | None = None,
    ) -> None:
        """Without `flush`, that is done by `run_blocking` as well."""
        directory.mkdir(parents=True, exist_ok=True)
        self.turn = Turn()
        self.queues: dict[int, LightQueue] = {}
        self._clock = clock
        self._options = options
        self._directory = directory
        self._metadata = Metadata(directory / "metadata")
        self._progress = Progress(directory / "progress")
        self._store = Store(
            directory, options.segment_size, options.cache_size, options.volatile_size, self._now_ms
        )
        self._timer_index = TimerIndex(directory / "timers", options.timers_in_memory)
        self.timers = Timers(
            self._timer_index, self._store.commit_log, self._progress, clock,
            self._append_timers, self.turn.end,
        )  # fmt: skip
        self._index_log = IndexLog(
            directory / "index", options.stretch_run_count,
            lambda queue_id, lost: rebuild_one(
                self._store.commit_log, self._routes.queue_ids, queue_id, lost
            ),
        )  # fmt: skip
        self._spilling = Spilling(self._index_log, self.queues, options.runs_in_memory)
        self.handing = Handing(self._store, self._progress)
        self._indexing = Indexing(self._store, self.turn, self._spilling, self.handing)
        self._marks = LogMarks(self._store)
        self._flushing = Flushing(
            self._store.commit_log, self._metadata, self._progress, self._timer_index, clock,
            flush or flush_blocking(run_blocking), options, self.turn, failed,
        )  # fmt: skip
        self._commit = self._flushing.commit
        self._compacting = Compacting(self._metadata, clock, self._commit, run_blocking, failed)
        self._checkpointing = Checkpointing(
            directory / "checkpoint", options.checkpoint_distance, self._capture, self._covered,
            self._store.commit_log, self._progress, self._timer_index, self._index_log,
            self._commit, run_blocking,
        )  # fmt: skip
        self._rewinds: dict[Rewind, None] = {}
        self._housekeeping = Housekeeping(
            self._store.commit_log, self.queues, self._timer_index, self._rewinds.keys(), clock,
            options, self._checkpointing.begin,
        )  # fmt: skip
        self._ids = Ids(self._metadata)
        self._routes = Routes(self._metadata, lambda: self._ids.new("route"))
        self._lane_ids: dict[int, dict[int, int]] = {}  # By queue and level.
        self._group_ids: dict[int, dict[str, int]] = {}  # By queue id.
        self._room_call: IDelayedCall | None = None

    # Life

    def start(self, parsers: dict[int, Callable[[bytes], Any]]) -> None:
        """Recover everything. `parsers` read stored messages, by origin."""
        self._store.parsers = parsers
        is_first_start = self._metadata.is_empty
        checkpoint = self._checkpointing.restore()
        self._ids.load()
        refuse_incomplete(self._directory, checkpoint, self._ids, self._progress)
        self._metadata.mend()
        self._load_metadata()
        self._timer_index.restore(checkpoint.timers, map(int, self.documents("timer_owner")))
        timer_recovery = TimerRecovery(self._timer_index)
        known_queues = self._metadata.items("queue")
        known_lanes = self._metadata.items("lane")
        recovery = Recovery(
            self._store.commit_log,
            self._routes.queue_ids,
            lambda id: str(id) in known_queues or str(id) in known_lanes,
            self._index_log,
            timer_recovery,
            self._marks,
        )
        recovered = recovery.run(checkpoint, self._progress)
        report_damage(self._metadata, self._progress, is_first_start)
        for key in (*known_queues, *known_lanes):
            id = int(key)
            self.queues[id] = self._new_queue(id, True)
        for key, (queue_id, group) in self._metadata.items("group").items():
            self._group_ids.setdefault(queue_id, {})[group] = int(key)
            if int(key) in recovered.group_offsets and queue_id in self.queues:
                self.queues[queue_id].group_offsets[group] = recovered.group_offsets[int(key)]
        # Last, since what no group needs is let go.
        for id, found in recovered.queues.items():
            self.queues[id].restore(
                found.index,
                found.floor,
                found.delivered_below,
                found.settled,
                found.durable_end,
                found.return_counts,
            )
        self._ids.skip(recovered.ids_seen)
        for queue in self.queues.values():
            for group, offset in queue.group_offsets.items():
                if offset > queue.max_offset:  # Of messages that power loss took away.
                    self.commit_group_offset(queue, group, queue.max_offset)
        for folder in (self._directory, self._directory.parent):
            sync_directory(folder)  # Files that are new here must not be lost with their names.
        self._flushing.start()
        self.turn.journals.append(self._end_turn)
        self.turn.wait_for_room = self._wait_for_room
        self.timers.start(timer_recovery.fired)
        self._housekeeping.start()

    def stop(self) -> None:
        """Flush, checkpoint and close."""
        self.timers.stop()
        self.turn.end()
        self.turn.journals.remove(self._end_turn)
        for rewind in self._rewinds:
            rewind.stop()
        self._flushing.stop()
        self._housekeeping.stop()
        self._compacting.stop()
        if self._room_call is not None:
            self._room_call.cancel()
            self._room_call = None
        self._flushing.finish()
        self.timers.stored()
        self._checkpointing.finish()
        self._index_log.close()
        self._progress.close()
        self._metadata.close()
        self._store.close()

    # Documents: what the layers above remember

    def documents(self, kind: str) -> dict[str, Any]:
        """All documents of a kind, by key."""
        return self._metadata.items(kind)

    def put_document(self, kind: str, key: str, document: Any) -> None:
        """Remember a document; durable as `when_durable` says."""
        self._metadata.put(kind, key, document)

    def delete_document(self, kind: str, key: str) -> None:
        """Forget a document."""
        self._metadata.delete(kind, key)

    def delete_documents(self, kind: str, keys: Iterable[str]) -> None:
        """Forget documents, with one write for all of them."""
        self._metadata.delete_all(kind, keys)

    # Queues and routes

    def declare_queue(self, document: Any | None) -> LightQueue:
        """Make a queue; a durable one if there is a document to remember it by."""
        id = self._ids.new("queue")
        if document is not None:
            self._metadata.put("queue", str(id), document)
        queue = self.queues[id] = self._new_queue(id, document is not None)
        return queue

    def lanes(self, queue: LightQueue, level_max: int) -> Lanes:
        """A queue that was just declared, or brought back by a restart, in lanes."""
        return Lanes(self._levels(queue), level_max, lambda level: self._make_lane(queue, level))

    def fair_lanes(self, queue: LightQueue, returns_first: bool) -> FairLanes:
        """The same in two lanes, of which none waits for ever."""
        return FairLanes(
            self._levels(queue), returns_first, lambda level: self._make_lane(queue, level)
        )

    def update_queue(self, queue: AnyQueue, document: Any) -> None:
        """Replace the document of a durable queue."""
        self._metadata.put("queue", str(queue.id), document)

    def delete_queue(self, queue: AnyQueue) -> None:
        """Drop a queue and all that it holds."""
        for level, lane in queue.lanes.items():
            lane.drop()
            del self.queues[lane.id]
            self._metadata.delete("lane" if level else "queue", str(lane.id))
            self._routes.forget(lane)
            for group_id in self._group_ids.pop(lane.id, {}).values():
                self._metadata.delete("group", str(group_id))
        self._lane_ids.pop(queue.id, None)

    def route(self, queues: Sequence[LightQueue], depends_on: DependsOn = DependsOn.KEY) -> Route:
        """The route to these queues; written down if a durable one is among them."""
        return self._routes.find(queues, depends_on)

    def is_routed(self, queue: AnyQueue) -> bool:
        """Has anybody got a route to it?"""
        return any(self._routes.lead_to(lane) for lane in queue.lanes.values())

    def commit_group_offset(self, queue: LightQueue, group: str, offset: int) -> None:
        """Another group than the queue's own has consumed all below `offset`."""
        group_ids = self._group_ids.setdefault(queue.id, {})
        group_id = group_ids.get(group)
        if group_id is None:
            group_id = self._ids.new("group")
            if queue.durable:
                self._metadata.put("group", str(group_id), [queue.id, group])
            group_ids[group] = group_id
        queue.commit_group_offset(group, group_id, offset)

    # Timers

    def add_timer_owner(self, document: Any | None, publish: Publish) -> int:
        """Somebody new who may have timers; kept over a restart if there is a document."""
        id = self._ids.new("timer_owner")
        if document is not None:
            self._metadata.put("timer_owner", str(id), document)
        self.timers.add_owner(id, publish)
        return id

    def drop_timer_owner(self, id: int) -> None:
        """An owner goes, and its timers with it."""
        self._metadata.delete("timer_owner", str(id))
        self.timers.drop_owner(id)

    # Messages

    def append(
        self,
        origin: int,
        routes: Sequence[Route],
        sizes: list[int],
        payload: list[Buffer],
        messages: Sequence[Any],
        durable: bool,
    ) -> None:
        """Append a batch atomically and give its messages to the queues of their routes.

        Routes, sizes and messages belong together, one each per message; `payload` is all stored
        forms, back to back, in any pieces. Raises `OSError` if the disk refuses.
        """
        if durable:
            ids = [route.id for route in routes]
            log_offset = self._store.append_durable(origin, ids, sizes, payload, messages)
            self._note_append(log_offset)
        else:
            log_offset = self._store.append_volatile(origin, sizes, payload, messages)
        self._indexing.add(log_offset, routes, messages, not durable)

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call `callback` when all that was appended and declared so far is durable.

        With asynchronous flushing, durable means written.
        """
        if self._options.sync_flush:
            self._commit.when_durable(callback)
        else:
            callback()

    def rewind(
        self,
        queues: Sequence[LightQueue],
        target: Target,
        done: Callable[[int | BaseException], None],
    ) -> None:
        """Have messages of durable queues ready again that they were done with: see `rewind`.

        `done` is called when that is durable, with how many messages more are ready then before.
        """

        def rewound(result: int | BaseException) -> None:
            del self._rewinds[rewind]
            if isinstance(result, BaseException):
                done(result)
                return
            self._checkpointing.begin_for(lambda error: done(error or result))
            self.turn.end()

        log = self._store.commit_log
        start = log.start
        if isinstance(target, SinceTime):
            start = self._marks.before(target.timestamp_ms)
        rewind = Rewind(
            queues,
            target,
            log,
            self._routes.queue_ids,
            start,
            self._index_log,
            self._clock,
            rewound,
        )
        self._rewinds[rewind] = None
        rewind.begin()

    def read_at(self, log_offset: int) -> LoggedMessage | None:
        """The durable message that begins at this log offset, if one does."""
        return self._marks.read_message(log_offset)

    def queues_of_route(self, route_id: int) -> list[LightQueue]:
        """The durable queues to which a route of a logged message leads, as far as they exist."""
        ids = self._routes.queue_ids(route_id)
        return [self.queues[id] for id in ids if id in self.queues]

    @property
    def log_end(self) -> int:
        """The log offset that the next record gets."""
        return self._store.commit_log.end

    @property
    def congested(self) -> bool:
        """Has more been written than the disk keeps up with? Then publishers should wait."""
        return self._flushing.congested

    def when_relieved(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the broker is not congested any more."""
        self._flushing.when_relieved(callback)

    # The rest is private

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)

    def _new_queue(self, id: int, durable: bool) -> LightQueue:
        return LightQueue(id, durable, self._store, self._progress, self.turn, self._indexing)

    def _levels(self, queue: LightQueue) -> dict[int, LightQueue]:
        ids = self._lane_ids.get(queue.id, {})
        return {0: queue, **{level: self.queues[id] for level, id in ids.items()}}

    def _make_lane(self, queue: LightQueue, level: int) -> LightQueue:
        id = self._ids.new("queue")
        if queue.durable:
            self._metadata.put("lane", str(id), [queue.id, level])
        self._lane_ids.setdefault(queue.id, {})[level] = id
        lane = self.queues[id] = self._new_queue(id, queue.durable)
        return lane

    def _load_metadata(self) -> None:
        for key, (queue_id, level) in list(self._metadata.items("lane").items()):
            if str(queue_id) in self._metadata.items("queue"):
                self._lane_ids.setdefault(queue_id, {})[level] = int(key)
            else:
                self._metadata.delete("lane", key)
        self._routes.load()

    def _append_timers(self, sizes: list[int], payload: list[Buffer]) -> int:
        log_offset = self._store.append_aside(TIMERS, sizes, payload)
        self._note_append(log_offset)
        return log_offset

    def _note_append(self, log_offset: int) -> None:
        if log_offset >= self._marks.due_at:
            self._marks.add(log_offset)
        self._flushing.appended()

    def _end_turn(self) -> None:
        self._progress.write()
        self._flushing.progressed()
        self._checkpointing.begin_if_due()

    def _wait_for_room(self, error: OSError) -> None:
        """The journals have no room: try a turn again soon, whether anything happens or not."""
        if self._room_call is None:
            self._log.error("nothing is sent until the disk has room: {error}", error=error)
            self._room_call = self._clock.callLater(_ROOM_INTERVAL_S, self._try_turn)

    def _try_turn(self) -> None:
        self._room_call = None
        self.turn.end()

    def _covered(self, log_offset: int) -> None:
        """A checkpoint covers the log up to here."""
        self._housekeeping.reclaim(log_offset)
        self._marks.forget_reclaimed()
        self._routes.expire(self._store.commit_log.start, self.log_end)

    def _capture(self, progress_number: int) -> Checkpoint:
        """The checkpoint of this moment."""
        self._spilling.spill_long()
        queues = {}
        group_offsets = {}
        for id, queue in self.queues.items():
            if not queue.durable:
                continue
            window = queue.window
            settled = window.settled
            intervals, bitmaps = settled.pack() if settled else ([], {})
            queues[id] = QueueCheckpoint(
                queue.max_offset,
                window.floor,
                window.delivered_end,
                intervals,
                queue.index.to_bytes(),
                window.delivery_counts if queue.counts_returns else {},
                queue.index.stretches_to_bytes(),
                bitmaps,
            )
            for group, offset in queue.group_offsets.items():
                group_offsets[self._group_ids[id][group]] = offset
        timers = self._timer_index.checkpoint(self.timers.firing)
        return Checkpoint(
            VERSION,
            self.log_end,
            progress_number,
            queues,
            group_offsets,
            self._marks.offsets,
            timers,
        )
