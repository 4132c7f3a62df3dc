"""The core's facade: the RocketMQ model behind about fifteen verbs.

It has no logic of its own beyond putting the parts together: see each of them.
Everything happens in one thread, in turns (see `turn`); only flushing files runs elsewhere.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from core.checkpoint import (
    Checkpoint,
    QueueCheckpoint,
    encode_checkpoint,
    read_checkpoint,
    replace_checkpoint,
)
from core.commit_log import Segment
from core.consume_queue import VOLATILE_BASE
from core.errors import CorruptRecordError
from core.fair_lanes import FairLanes
from core.group_commit import GroupCommit, RunBlocking, sync_files
from core.indexing import Indexing
from core.lanes import AnyQueue, Lanes
from core.light_queue import LightQueue
from core.metadata import Metadata, sync_directory
from core.progress import Progress
from core.reclaim import find_reclaimable
from core.record import HEADER_SIZE, Buffer, decode, decode_header
from core.recovery import Recovery
from core.rewind import Rewind, SinceTime, Target
from core.route import DependsOn, Route
from core.routes import Routes
from core.store import Store
from core.timer_index import TimerIndex
from core.timer_record import TIMERS
from core.timer_recovery import TimerRecovery
from core.timers import Publish, Timers
from core.turn import Turn

_ID_BLOCK = 1000  # Ids are reserved so many at a time; a restart skips the unused ones.
_ROOM_INTERVAL_S = 1.0  # So often a full disk is tried again.
_MARK_DISTANCE = 1 << 20  # A search by log offset scans at most about so many bytes.


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How the store behaves; see `gateway.config.StoreConfig` for what users set."""

    segment_size: int = 1 << 30
    cache_size: int = 48 << 20
    volatile_size: int = 64 << 20
    sync_flush: bool = True
    async_flush_interval_s: float = 0.2
    progress_flush_interval_s: float = 1.0  # A crash of the machine forgets so much of it.
    checkpoint_distance: int = 64 << 20
    unflushed_size_max: int = 64 << 20
    retention_s: float = 72 * 3600.0
    retained_size_max: int = 10 << 30
    housekeeping_interval_s: float = 60.0
    timers_in_memory: int = 1 << 15  # The nearest; the others are in files.


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
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.turn = Turn()
        self.queues: dict[int, LightQueue] = {}
        self._clock = clock
        self._run_blocking = run_blocking
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
        self._indexing = Indexing(self._store)
        self._commit = GroupCommit(self._begin_sync, run_blocking, self.turn.end, failed)
        self._routes = Routes(self._metadata, lambda: self._new_id("route"))
        self._next_ids: dict[str, tuple[int, int]] = {}  # By kind: next id, end of the block.
        self._lane_ids: dict[int, dict[int, int]] = {}  # By queue and level.
        self._group_ids: dict[int, dict[str, int]] = {}  # By queue id.
        self._marks: list[int] = []
        self._checkpointed_at = 0
        self._checkpoint_size = 0
        self._checkpointing = False
        self._when_checkpointed: list[Callable[[BaseException | None], None]] = []
        self._rewinds: dict[Rewind, None] = {}
        self._flush_call: IDelayedCall | None = None
        self._housekeeping_call: IDelayedCall | None = None
        self._room_call: IDelayedCall | None = None
        self._progress_synced_at = 0.0
        self._synced_at = 0
        self._relief: list[Callable[[], None]] = []

    # Life

    def start(self, parsers: dict[int, Callable[[bytes], Any]]) -> None:
        """Recover everything. `parsers` read stored messages, by origin."""
        self._store.parsers = parsers
        self._load_metadata()
        checkpoint = read_checkpoint(self._directory / "checkpoint")
        self._timer_index.restore(checkpoint.timers, map(int, self.documents("timer_owner")))
        timer_recovery = TimerRecovery(self._timer_index)
        known_queues = self._metadata.items("queue")
        known_lanes = self._metadata.items("lane")
        recovery = Recovery(
            self._store.commit_log,
            self._routes.queue_ids,
            lambda id: str(id) in known_queues or str(id) in known_lanes,
            timer_recovery,
            _MARK_DISTANCE,
        )
        recovered = recovery.run(checkpoint, self._progress)
        self._report_damage()
        self._marks = recovered.record_marks
        self._checkpointed_at = checkpoint.log_offset
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
        self._reserve_ids(recovered.ids_seen)
        for queue in self.queues.values():
            for group, offset in queue.group_offsets.items():
                if offset > queue.max_offset:  # Of messages that power loss took away.
                    self.commit_group_offset(queue, group, queue.max_offset)
        for folder in (self._directory, self._directory.parent):
            sync_directory(folder)  # Files that are new here must not be lost with their names.
        self._synced_at = self._store.commit_log.end
        self.turn.journals.append(self._end_turn)
        self.turn.wait_for_room = self._wait_for_room
        self.timers.start(timer_recovery.fired)
        self._keep_house()

    def stop(self) -> None:
        """Flush, checkpoint and close."""
        self.timers.stop()
        self.turn.end()
        self.turn.journals.remove(self._end_turn)
        for rewind in self._rewinds:
            rewind.stop()
        self._commit.stop()  # A flush or checkpoint that is still on its way comes too late.
        for call in (self._flush_call, self._housekeeping_call, self._room_call):
            if call is not None:
                call.cancel()
        self._flush_call = self._housekeeping_call = self._room_call = None
        number = self._progress.begin_next()
        sync_files(self._unsynced_files())
        self.timers.stored()
        content = encode_checkpoint(self._checkpoint(number))
        replace_checkpoint(self._directory / "checkpoint", content)
        self._progress.delete_before(number)
        self._timer_index.forget(self._timer_index.spent())
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
        id = self._new_id("queue")
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
            group_id = self._new_id("group")
            if queue.durable:
                self._metadata.put("group", str(group_id), [queue.id, group])
            group_ids[group] = group_id
        queue.commit_group_offset(group, group_id, offset)

    # Timers

    def add_timer_owner(self, document: Any | None, publish: Publish) -> int:
        """Somebody new who may have timers; kept over a restart if there is a document."""
        id = self._new_id("timer_owner")
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
        self._indexing.add(log_offset, routes, not durable)

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
            self._when_checkpointed.append(lambda error: done(error or result))
            self._begin_checkpoint()
            self.turn.end()

        start = self._mark_before(target)
        log = self._store.commit_log
        rewind = Rewind(queues, target, log, self._routes.queue_ids, start, self._clock, rewound)
        self._rewinds[rewind] = None
        rewind.begin()

    def read_at(self, log_offset: int) -> tuple[int, bytes] | None:
        """The origin and the stored form of the durable message that begins at this log offset."""
        log = self._store.commit_log
        if not log.start <= log_offset < log.end:
            return None
        mark = self._marks[max(0, bisect_right(self._marks, log_offset) - 1)] if self._marks else 0
        position = max(mark, log.start)
        while position < log_offset:
            header = decode_header(log.read(position, HEADER_SIZE))
            if header is None or header.log_offset != position:
                return None
            if position + header.size > log_offset:
                return _message_at(log.read(position, header.size), position, log_offset)
            position += header.size
        return None

    @property
    def log_end(self) -> int:
        """The log offset that the next record gets."""
        return self._store.commit_log.end

    @property
    def congested(self) -> bool:
        """Has more been written than the disk keeps up with? Then publishers should wait."""
        return self.log_end - self._synced_at > self._options.unflushed_size_max

    def when_relieved(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the broker is not congested any more."""
        self._relief.append(callback)

    # The rest is private

    def _report_damage(self) -> None:
        for start, end in self._metadata.damage:
            self._log.error(
                "metadata is damaged from byte {start} to {end}: what stood there is lost; the"
                " file is kept as metadata.damaged",
                start=start,
                end=end,
            )
        for start, _ in self._progress.damage:
            self._log.error(
                "the progress journal is damaged at byte {start}: what was acknowledged after that"
                " is delivered again",
                start=start,
            )

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)

    def _new_queue(self, id: int, durable: bool) -> LightQueue:
        return LightQueue(id, durable, self._store, self._progress, self.turn, self._indexing)

    def _levels(self, queue: LightQueue) -> dict[int, LightQueue]:
        ids = self._lane_ids.get(queue.id, {})
        return {0: queue, **{level: self.queues[id] for level, id in ids.items()}}

    def _make_lane(self, queue: LightQueue, level: int) -> LightQueue:
        id = self._new_id("queue")
        if queue.durable:
            self._metadata.put("lane", str(id), [queue.id, level])
        self._lane_ids.setdefault(queue.id, {})[level] = id
        lane = self.queues[id] = self._new_queue(id, queue.durable)
        return lane

    def _new_id(self, kind: str) -> int:
        next_id, end = self._next_ids.get(kind, (1, 1))
        if next_id == end:
            end = next_id + _ID_BLOCK
            self._metadata.put("next_id", kind, end)
        self._next_ids[kind] = (next_id + 1, end)
        return next_id

    def _reserve_ids(self, ids_seen: dict[str, int]) -> None:
        """Power loss may take the document that reserved an id, and leave what bears the id."""
        for kind, id in ids_seen.items():
            if id >= self._next_ids.get(kind, (1, 1))[0]:
                self._metadata.put("next_id", kind, id + 1)
                self._next_ids[kind] = (id + 1, id + 1)

    def _load_metadata(self) -> None:
        for kind, next_id in self._metadata.items("next_id").items():
            self._next_ids[kind] = (next_id, next_id)
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
        if not self._marks or log_offset >= self._marks[-1] + _MARK_DISTANCE:
            self._marks.append(log_offset)
        if self._flush_call is None:
            self._flush_call = self._clock.callLater(
                self._options.async_flush_interval_s, self._flush
            )

    def _flush(self) -> None:
        """Bring to the disk what nobody waits for."""
        self._flush_call = None
        self._commit.when_durable(lambda: None)

    def _begin_sync(self) -> list[int]:
        """Everything that a flush must cover; notes how far it will have come."""
        end = self.log_end

        def note() -> None:
            self._synced_at = end
            if self._relief and not self.congested:
                relief, self._relief = self._relief, []
                for callback in relief:
                    callback()

        self._commit.when_durable(note)
        return self._unsynced_files()

    def _unsynced_files(self) -> list[int]:
        descriptors = self._metadata.begin_sync() + self._store.commit_log.begin_sync()
        descriptors += self._timer_index.begin_sync()
        now = self._clock.seconds()
        due = now - self._progress_synced_at >= self._options.progress_flush_interval_s
        if due or self._progress.was_left:
            self._progress_synced_at = now
            descriptors += self._progress.begin_sync()
        return descriptors

    def _end_turn(self) -> None:
        self._progress.write()
        if self._flush_call is None and self._progress.is_dirty:
            # Who only consumes appends nothing, and yet shall not be given it all again.
            self._flush_call = self._clock.callLater(
                self._options.progress_flush_interval_s, self._flush
            )
        written = self.log_end - self._checkpointed_at + self._progress.size
        if written > max(self._options.checkpoint_distance, 4 * self._checkpoint_size):
            self._begin_checkpoint()

    def _wait_for_room(self, error: OSError) -> None:
        """The journals have no room: try a turn again soon, whether anything happens or not."""
        if self._room_call is None:
            self._log.error("nothing is sent until the disk has room: {error}", error=error)
            self._room_call = self._clock.callLater(_ROOM_INTERVAL_S, self._try_turn)

    def _try_turn(self) -> None:
        self._room_call = None
        self.turn.end()

    def _mark_before(self, target: Target) -> int:
        """Where to begin to read the log, so that nothing is missed that `target` wants."""
        start = self._store.commit_log.start
        if not isinstance(target, SinceTime):
            return start
        marks, timestamp_ms = self._marks, self._store.timestamp_ms
        at = bisect_left(marks, target.timestamp_ms, key=timestamp_ms)
        return max(start, marks[at - 1]) if at else start

    def _begin_checkpoint(self) -> None:
        """Write a checkpoint of this moment, in the background."""
        if self._checkpointing:
            return
        self._checkpointing = True
        waiting, self._when_checkpointed = self._when_checkpointed, []
        number = self._progress.begin_next()
        log_offset = self._checkpointed_at = self.log_end
        content = encode_checkpoint(self._checkpoint(number))
        spent = self._timer_index.spent()
        self._checkpoint_size = len(content)
        path = self._directory / "checkpoint"

        def replaced(error: BaseException | None) -> None:
            self._checkpointing = False
            if error is None:
                self._progress.delete_before(number)
                self._timer_index.forget(spent)
                self._reclaim(log_offset)
                self._routes.expire(self._store.commit_log.start, self.log_end)
            else:
                self._log.error("no checkpoint could be written: {error}", error=error)
            for callback in waiting:
                callback(error)
            if self._when_checkpointed:  # Of something that this one did not know.
                self._begin_checkpoint()

        # Not before the log itself is durable up to here.
        self._commit.when_durable(
            lambda: self._run_blocking(lambda: replace_checkpoint(path, content), replaced)
        )

    def _keep_house(self) -> None:
        """Now and then, make a checkpoint if it may let segments go that nobody needs."""
        self._housekeeping_call = self._clock.callLater(
            self._options.housekeeping_interval_s, self._keep_house
        )
        if len(self._store.commit_log.segments) > 1 and self._find_reclaimable(self.log_end):
            self._begin_checkpoint()

    def _find_reclaimable(self, safe_end: int) -> list[Segment]:
        return find_reclaimable(
            self._store.commit_log.segments,
            min((safe_end, *(rewind.start for rewind in self._rewinds))),
            (self._timer_index, *(queue.index for queue in self.queues.values())),
            self._options.retention_s,
            self._options.retained_size_max,
            self._clock.seconds(),
        )

    def _reclaim(self, safe_end: int) -> None:
        """Delete the segments that nothing refers to, now that a checkpoint covers them."""
        for segment in self._find_reclaimable(safe_end):
            self._store.commit_log.drop(segment)
            self._log.info("segment {log_offset} is reclaimed", log_offset=segment.base)
        self._marks = [mark for mark in self._marks if self._store.commit_log.holds(mark)]

    def _checkpoint(self, progress_number: int) -> Checkpoint:
        queues = {}
        group_offsets = {}
        for id, queue in self.queues.items():
            if not queue.durable:
                continue
            window = queue.window
            queues[id] = QueueCheckpoint(
                queue.max_offset,
                window.floor,
                window.delivered_end,
                window.settled.in_order(),
                queue.index.to_bytes(VOLATILE_BASE),
                window.delivery_counts if queue.counts_returns else {},
            )
            for group, offset in queue.group_offsets.items():
                group_offsets[self._group_ids[id][group]] = offset
        timers = self._timer_index.checkpoint(self.timers.firing)
        return Checkpoint(
            1, self.log_end, progress_number, queues, group_offsets, self._marks, timers
        )


def _message_at(data: bytes, position: int, log_offset: int) -> tuple[int, bytes] | None:
    header = decode_header(data)
    assert header is not None
    try:
        record = decode(data, header)
    except CorruptRecordError:
        return None
    at = position + header.size - sum(map(len, record.messages))
    for message in record.messages:
        if at == log_offset:
            return header.origin, message
        at += len(message)
    return None
