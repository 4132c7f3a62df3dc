"""Recovery: the newest checkpoint, then the tails of the log and of the progress journal.

Queue offsets are not in the log's records: each durable message takes the next offset of its
queues, in log order, and the journal's gaps say which offsets went to messages that are gone. The
gap of a turn is written after the turn's records, together with everything that refers to the
offsets behind it, so the two never contradict each other.

Power loss may take more of the log than of the journal (nothing of it was confirmed). Offsets that
the journal knows, of messages that the log does not, are a gap as well, which is written down: no
later message may get them, for they are settled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import unpack_from

from twisted.logger import Logger

from core.checkpoint import Checkpoint, QueueCheckpoint
from core.commit_log import CommitLog
from core.consume_queue import ConsumeQueue
from core.errors import CorruptRecordError
from core.group_commit import sync_files
from core.index_log import IndexLog
from core.log_marks import LogMarks
from core.log_rows import QueueIds, equal_runs, find_record
from core.offset_set import OffsetSet
from core.progress import Entry, Kind, Progress
from core.rebuild import rebuild
from core.record import HEADER_SIZE, ROW_SIZE, decode, decode_header, decode_rows
from core.record_progress import Places, RecordProgress
from core.route import OF_ONE
from core.stretch import Stretch, decode_stretches
from core.stretches import Stretches
from core.timer_record import TIMERS
from core.timer_recovery import KINDS, TimerRecovery

_CHUNK_SIZE = 4 << 20

_log = Logger()


@dataclass
class RecoveredQueue:
    """What was found out about one durable queue."""

    index: ConsumeQueue
    floor: int = 0
    delivered_below: int = 0
    durable_end: int = 0
    settled: OffsetSet = field(default_factory=OffsetSet)
    gaps: OffsetSet = field(default_factory=OffsetSet)
    return_counts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def from_checkpoint(cls, saved: QueueCheckpoint, stretches: Stretches) -> RecoveredQueue:
        """Begin with what the checkpoint knows."""
        return cls(
            ConsumeQueue(saved.max_offset, saved.runs, stretches or None),
            saved.floor,
            saved.delivered_below,
            saved.max_offset,
            OffsetSet.unpack(saved.settled, saved.settled_bitmaps),
            return_counts=dict(saved.return_counts),
        )

    def append(self, log_offset: int, first: int, count: int, places: Places | None) -> None:
        """A run of durable messages, in log order, and what was said of messages of its record."""
        self.skip_gaps()
        ahead = self.index.append(log_offset, first, count) - first
        self.durable_end = self.index.max_offset
        if places is None:
            return
        for place in range(first, first + count):
            if place in places.settled:
                self.settled.add(ahead + place, ahead + place + 1)
            if place in places.delivered:
                self.delivered_below = max(self.delivered_below, ahead + place + 1)

    @property
    def known_end(self) -> int:
        """Behind the last offset that anything was said about."""
        return max(self.index.max_offset, self.delivered_below, self.settled.end, self.gaps.end)

    def skip_gaps(self) -> None:
        """Move the end over the gap that begins there."""
        if self.gaps:
            end = self.index.max_offset
            self.index.skip(self.gaps.hole_from(end) - end)


@dataclass
class Recovered:
    """Everything that a restart brings back."""

    queues: dict[int, RecoveredQueue]
    group_offsets: dict[int, int]
    ids_seen: dict[str, int]  # By kind, the highest one that the log or the journal names.


class Recovery:
    """Bring back every queue of a data folder.

    `queue_ids` gives the queues of each route id; `is_queue` tells whether one still exists.
    """

    def __init__(
        self,
        commit_log: CommitLog,
        queue_ids: QueueIds,
        is_queue: Callable[[int], bool],
        index_log: IndexLog,
        timers: TimerRecovery,
        marks: LogMarks,
    ) -> None:
        self._commit_log = commit_log
        self._queue_ids = queue_ids
        self._is_queue = is_queue
        self._index_log = index_log
        self._timers = timers
        self._marks = marks
        self._record_progress = RecordProgress()
        self._queues: dict[int, RecoveredQueue] = {}
        self._group_offsets: dict[int, int] = {}
        self._ids_seen = {"route": 0, "queue": 0, "group": 0, "timer_owner": 0}

    def run(self, checkpoint: Checkpoint, progress: Progress) -> Recovered:
        """Recover; the log is then open for appending behind its last whole record."""
        queues = {id: saved for id, saved in checkpoint.queues.items() if self._is_queue(id)}
        for id, saved in queues.items():
            stretches = Stretches(self._index_log, id, saved.stretches)
            self._queues[id] = RecoveredQueue.from_checkpoint(saved, stretches)
        self._group_offsets.update(checkpoint.group_offsets)
        self._marks.restore(checkpoint.record_marks)
        for entry in progress.replay(checkpoint.progress_number):
            self._apply(entry)
        self._find_lost(
            self._index_log.open(
                {id: decode_stretches(saved.stretches) for id, saved in queues.items()}
            )
        )
        end = max(checkpoint.log_offset, self._commit_log.start)
        if self._commit_log.end < end:
            _log.error(
                "the log ends at {found}, and was on the disk up to {end}: the rest is lost",
                found=self._commit_log.end,
                end=end,
            )
        while True:
            end = self._scan(end)
            resume = find_record(self._commit_log, end, self._commit_log.end)
            if resume is None:
                break
            _log.error("the log is damaged from {start} to {end}: skipped", start=end, end=resume)
            self._dispatch_damaged(end, resume)
            end = resume
        self._commit_log.open_at(end)
        self._skip_lost(progress)
        self._timers.finish(end, progress)
        self._record_progress.finish(end, progress)
        self._see("timer_owner", self._timers.owner_max)
        progress.write()
        sync_files(progress.begin_sync())
        return Recovered(self._queues, self._group_offsets, self._ids_seen)

    def _find_lost(self, lost: Mapping[int, Sequence[Stretch]]) -> None:
        """Files of the indexes are missing: what was in them is in the log."""
        if not lost:
            return
        count = sum(map(len, lost.values()))
        _log.error("{count} stretches of indexes are missing: they are made again", count=count)
        for id, stretch, runs in rebuild(self._commit_log, self._queue_ids, lost):
            queue = self._queues[id]
            queue.index.replace(stretch, runs)
            if stretch.has_gaps:
                # Nobody knows which of the offsets were settled: rather twice than never.
                queue.settled.discard(stretch.start, stretch.end)

    def _skip_lost(self, progress: Progress) -> None:
        """Leave out the offsets of messages that the log does not have any more, for ever."""
        count = 0
        for id, queue in self._queues.items():
            queue.skip_gaps()
            start, end = queue.index.max_offset, queue.known_end
            if start < end:
                queue.index.skip(end - start)
                progress.gap(id, start, end)
                count += 1
        if count:
            _log.error("{count} queues had messages that the log does not have", count=count)

    def _queue(self, id: int) -> RecoveredQueue:
        queue = self._queues.get(id)
        if queue is None:
            queue = self._queues[id] = RecoveredQueue(ConsumeQueue())
        return queue

    def _apply(self, entry: Entry) -> None:
        if entry.kind == Kind.VOID:
            self._record_progress.void(entry.a)
        if entry.kind in RecordProgress.KINDS:
            self._record_progress.apply(entry)
            return
        if entry.kind in KINDS:
            self._timers.apply(entry)
            return
        if entry.kind == Kind.COMMITTED:
            self._group_offsets[entry.id] = entry.a
            self._see("group", entry.id)
            return
        self._see("queue", entry.id)
        if not self._is_queue(entry.id):
            return
        queue = self._queue(entry.id)
        if entry.kind == Kind.SETTLED:
            queue.settled.add(entry.a, entry.b)
        elif entry.kind == Kind.DELIVERED:
            queue.delivered_below = max(queue.delivered_below, entry.a)
        elif entry.kind == Kind.GAP:
            queue.gaps.add(entry.a, entry.b)
        elif entry.kind == Kind.RETURNED:
            queue.return_counts[entry.a] = entry.b

    def _see(self, kind: str, id: int) -> None:
        self._ids_seen[kind] = max(self._ids_seen[kind], id)

    def _scan(self, end: int) -> int:
        """Dispatch the records from `end` on; return where no whole one follows."""
        for header, data in self._commit_log.scan(end):
            try:
                record = decode(data, header)
                if header.origin == TIMERS:
                    self._timers.add(record)
            except CorruptRecordError:
                break
            route_ids = record.route_ids
            for number in set(route_ids):
                self._see("route" if number < OF_ONE else "queue", number % OF_ONE)
            if end >= self._marks.due_at:
                self._marks.add(end)
            self._dispatch(end, route_ids)
            end += header.size
        return end

    def _dispatch_damaged(self, start: int, end: int) -> None:
        """What lies here was not torn off: whole records follow.

        Its messages keep their offsets, as far as can be told whose they were; they are reported
        and skipped when somebody comes to read them.
        """
        while start < end:
            stop = min(end, self._commit_log.segment_at(start).end)
            if stop <= start:  # Behind the end of a segment: the next one is not here.
                start = self._commit_log.next_segment_base(start) or end
                continue
            data = self._commit_log.read(start, min(stop - start, _CHUNK_SIZE))
            header = decode_header(data)
            if header is not None and (
                header.log_offset != start
                or start + header.size > stop
                or HEADER_SIZE + header.message_count * ROW_SIZE > len(data)
            ):
                header = None
            # First that all is one record: a damaged size may fit some of the rows by chance.
            size = stop - start
            route_ids = _rows_that_fill(data, size)
            if not route_ids and header is not None:
                size = header.size
                route_ids = _rows_that_fill(data, size) or decode_rows(data, header)[0]
            if not route_ids:
                _log.error("nobody can tell whose messages were at {start}", start=start)
            self._dispatch(start, route_ids)
            start += size

    def _dispatch(self, log_offset: int, route_ids: tuple[int, ...]) -> None:
        """Append a record's runs of equal routes to their queues, as the live broker did."""
        places = self._record_progress.find(log_offset, len(route_ids))
        for route_id, first, count in equal_runs(route_ids):
            for id in self._queue_ids(route_id):
                if self._is_queue(id):
                    self._queue(id).append(log_offset, first, count, places)


def _rows_that_fill(data: bytes, size: int) -> tuple[int, ...]:
    """The route ids of a record of this size, told by its rows alone; empty if they do not fit."""
    route_ids = []
    for at in range(HEADER_SIZE, min(len(data), size) - ROW_SIZE + 1, ROW_SIZE):
        route_id, message_size = unpack_from(">II", data, at)
        route_ids.append(route_id)
        size -= ROW_SIZE + message_size
        if size <= HEADER_SIZE:
            break
    return tuple(route_ids) if size == HEADER_SIZE else ()
