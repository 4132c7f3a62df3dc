"""Recovery: the newest checkpoint, then the tails of the log and of the progress journal.

Queue offsets are not in the log's records: each durable message takes the next offset of its
queues, in log order, and the journal's gaps say which offsets went to messages that are gone. The
gap of a turn is written after the turn's records, together with everything that refers to the
offsets behind it, so the two never contradict each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from twisted.logger import Logger

from core.checkpoint import Checkpoint, QueueCheckpoint
from core.commit_log import CommitLog
from core.consume_queue import ConsumeQueue
from core.errors import CorruptRecordError
from core.progress import Entry, Kind, Progress
from core.record import HEADER_SIZE, MAGIC, decode, decode_header, decode_rows

_MAGIC = MAGIC.to_bytes(4, "big")
_MAGIC_POSITION = 4  # Of the magic within a record.
_CHUNK_SIZE = 4 << 20

_log = Logger()


@dataclass
class RecoveredQueue:
    """What was found out about one durable queue."""

    index: ConsumeQueue
    floor: int = 0
    delivered_below: int = 0
    durable_end: int = 0
    settled: list[tuple[int, int]] = field(default_factory=list)
    gaps: deque[tuple[int, int]] = field(default_factory=deque)

    @classmethod
    def from_checkpoint(cls, saved: QueueCheckpoint) -> RecoveredQueue:
        """Begin with what the checkpoint knows."""
        return cls(
            ConsumeQueue(saved.max_offset, saved.runs),
            saved.floor,
            saved.delivered_below,
            saved.max_offset,
            list(saved.settled),
        )

    def append(self, log_offset: int, first: int, count: int) -> None:
        """A run of durable messages, in log order."""
        self.skip_gaps()
        self.index.append(log_offset, first, count)
        self.durable_end = self.index.max_offset

    def skip_gaps(self) -> None:
        """Move the end over the gaps that begin there."""
        while self.gaps and self.gaps[0][0] <= self.index.max_offset:
            end = self.gaps.popleft()[1]
            self.index.skip(max(0, end - self.index.max_offset))


@dataclass
class Recovered:
    """Everything that a restart brings back."""

    queues: dict[int, RecoveredQueue]
    group_offsets: dict[int, int]
    record_marks: list[int]


class Recovery:
    """Bring back every queue of a data folder.

    `queue_ids` gives the queues of each route id; `is_queue` tells whether one still exists.
    """

    def __init__(
        self,
        commit_log: CommitLog,
        queue_ids: Mapping[int, tuple[int, ...]],
        is_queue: Callable[[int], bool],
        mark_distance: int,
    ) -> None:
        self._commit_log = commit_log
        self._queue_ids = queue_ids
        self._is_queue = is_queue
        self._mark_distance = mark_distance
        self._queues: dict[int, RecoveredQueue] = {}
        self._group_offsets: dict[int, int] = {}
        self._marks: list[int] = []

    def run(self, checkpoint: Checkpoint, progress: Progress) -> Recovered:
        """Recover; the log is then open for appending behind its last whole record."""
        for id, saved in checkpoint.queues.items():
            if self._is_queue(id):
                self._queues[id] = RecoveredQueue.from_checkpoint(saved)
        self._group_offsets.update(checkpoint.group_offsets)
        self._marks.extend(checkpoint.record_marks)
        for entry in progress.replay(checkpoint.progress_number):
            self._apply(entry)
        end = max(checkpoint.log_offset, self._commit_log.start)
        while True:
            end = self._scan(end)
            resume = _find_record(self._commit_log, end, self._commit_log.end)
            if resume is None:
                break
            _log.error("the log is damaged from {start} to {end}: skipped", start=end, end=resume)
            end = resume
        self._commit_log.open_at(end)
        for queue in self._queues.values():
            queue.skip_gaps()
        return Recovered(self._queues, self._group_offsets, self._marks)

    def _queue(self, id: int) -> RecoveredQueue:
        queue = self._queues.get(id)
        if queue is None:
            queue = self._queues[id] = RecoveredQueue(ConsumeQueue())
        return queue

    def _apply(self, entry: Entry) -> None:
        if entry.kind == Kind.COMMITTED:
            self._group_offsets[entry.id] = entry.a
            return
        if not self._is_queue(entry.id):
            return
        queue = self._queue(entry.id)
        if entry.kind == Kind.SETTLED:
            queue.settled.append((entry.a, entry.b))
        elif entry.kind == Kind.DELIVERED:
            queue.delivered_below = max(queue.delivered_below, entry.a)
        elif entry.kind == Kind.GAP:
            queue.gaps.append((entry.a, entry.b))

    def _scan(self, end: int) -> int:
        """Dispatch the records from `end` on; return where no whole one follows."""
        for header, data in self._commit_log.scan(end):
            try:
                route_ids = decode(data, header).route_ids
            except CorruptRecordError as error:
                if _find_record(self._commit_log, end + header.size, end + header.size) is None:
                    break
                # Not the torn end of the log. Its messages keep their offsets, and are reported
                # and skipped when somebody comes to read them.
                _log.error("the log is damaged: {error}", error=error)
                route_ids = decode_rows(data, header)[0]
            if not self._marks or end >= self._marks[-1] + self._mark_distance:
                self._marks.append(end)
            self._dispatch(end, route_ids)
            end += header.size
        return end

    def _dispatch(self, log_offset: int, route_ids: tuple[int, ...]) -> None:
        """Append a record's runs of equal routes to their queues, as the live broker did."""
        first, count = 0, len(route_ids)
        while first < count:
            route_id = route_ids[first]
            end = first + 1
            while end < count and route_ids[end] == route_id:
                end += 1
            for id in self._queue_ids.get(route_id, ()):
                if self._is_queue(id):
                    self._queue(id).append(log_offset, first, end - first)
            first = end


def _find_record(log: CommitLog, start: int, stop: int) -> int | None:
    """The log offset of the first whole record that begins at `start` to `stop`, if any does."""
    position = start
    while position <= stop and (chunk := log.read(position, _CHUNK_SIZE)):
        at = chunk.find(_MAGIC)
        while at >= 0:
            found = position + at - _MAGIC_POSITION
            if start <= found <= stop and _is_whole_record(log, found):
                return found
            at = chunk.find(_MAGIC, at + 1)
        position += max(1, len(chunk) - HEADER_SIZE) if len(chunk) > HEADER_SIZE else len(chunk)
    return None


def _is_whole_record(log: CommitLog, log_offset: int) -> bool:
    header = decode_header(log.read(log_offset, HEADER_SIZE))
    if header is None or header.log_offset != log_offset:
        return False
    try:
        decode(log.read(log_offset, header.size), header)
    except CorruptRecordError:
        return False
    return True
