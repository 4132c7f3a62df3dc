"""Rewind: what queues had, and have let go of, is found again in the log and is ready once more.

An index forgets what its group is done with; the log remembers it until its segment is reclaimed.
So a piece of the log is read at a time, without the bodies, while the broker goes on. What is found
gets its place before everything that the index still holds, under the offsets that lie there: those
that it had, unless transient messages were between.

All that is not in flight from there on is ready then, at its own place. Messages that lived only in
memory are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from core.commit_log import CommitLog
from core.consume_queue import ConsumeQueue
from core.index_log import IndexLog
from core.light_queue import LightQueue
from core.log_rows import LogRows, QueueIds
from core.record import RecordHeader
from core.stretches import Stretches

_PIECES_COUNT = 4  # So many are read before others have their turn: more than they append then.
_STRETCHES_COUNT_MAX = 8  # Of what was found, so much stays in memory for each queue.


class Target(Protocol):
    """Where a rewind leads to."""

    def begins_at(self, queue: LightQueue, found_count: int) -> int:
        """The offset in `queue` from which on all is to be ready.

        So many messages of it were found that lie before all that it holds.
        """

    def wants(self, header: RecordHeader) -> bool:
        """May this record have messages that are to be ready?"""


class SinceTime:
    """What was stored at a time or later."""

    def __init__(self, timestamp_ms: int) -> None:
        self.timestamp_ms = timestamp_ms

    def begins_at(self, queue: LightQueue, found_count: int) -> int:
        """See `Target`."""
        held = queue.search_timestamp(self.timestamp_ms)
        return held if held > queue.min_offset else queue.min_offset - found_count

    def wants(self, header: RecordHeader) -> bool:
        """See `Target`."""
        return header.timestamp_ms >= self.timestamp_ms


class SinceOffset:
    """What has an offset or a higher one, if it still is in the log."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def begins_at(self, queue: LightQueue, found_count: int) -> int:
        """See `Target`."""
        return max(self._offset, queue.min_offset - found_count)

    def wants(self, header: RecordHeader) -> bool:
        """See `Target`."""
        return True


class Rewind:
    """The rewind of some queues, which are one to those who asked.

    `queue_ids` gives the queues of each route id. The log is read from `start` on; it must stay
    there. `done` is called when all is ready, with how many messages more than before.
    """

    def __init__(
        self,
        queues: Sequence[LightQueue],
        target: Target,
        log: CommitLog,
        queue_ids: QueueIds,
        start: int,
        index_log: IndexLog,
        clock: IReactorTime,
        done: Callable[[int | BaseException], None],
    ) -> None:
        self.start = start
        self._queues = queues
        self._target = target
        self._log = log
        self._index_log = index_log
        self._clock = clock
        self._done = done
        self._rows = LogRows(log, queue_ids, start, target.wants)
        self._found = {queue.id: ConsumeQueue() for queue in queues}  # With offsets of their own.
        self._call: IDelayedCall | None = None

    def begin(self) -> None:
        """Read the first pieces."""
        self._call = None
        try:
            for _ in range(_PIECES_COUNT):
                self._read_piece()
                if self._rows.position >= self._end():
                    break
            else:
                self._call = self._clock.callLater(0, self.begin)
                return
            more_count = sum(self._apply(queue) for queue in self._queues if not queue.deleted)
        except OSError as error:
            self._forget()
            self._done(error)
        else:
            self._forget()
            self._done(more_count)

    def stop(self) -> None:
        """Nobody waits for it any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._forget()

    # The rest is private

    def _end(self) -> int:
        """Where the log need be read no further: what lies behind is in the indexes."""
        return max((self._boundary(queue)[0] for queue in self._queues), default=0)

    def _boundary(self, queue: LightQueue) -> tuple[int, int]:
        """The first message of the log that the index of a queue holds: record, and place in it."""
        return queue.index.first_kept() or (self._log.end, 0)

    def _read_piece(self) -> None:
        """Note what the next piece of the log has of the queues."""
        for id, log_offset, first, count in self._rows.read_piece():
            if id in self._found:
                self._found[id].append(log_offset, first, count)
        for id, found in self._found.items():
            if len(found) >= _STRETCHES_COUNT_MAX * self._index_log.run_count_max:
                found.spill(Stretches(self._index_log, id))

    def _apply(self, queue: LightQueue) -> int:
        """Rewind one queue, now that all is found; return how many messages more are ready."""
        older = self._found[queue.id]
        older.cut(_offset_of(older, self._boundary(queue)))
        end, held_from = older.max_offset, queue.min_offset
        first = max(older.min_offset, end - held_from)  # No offset is below 0.
        start = self._target.begins_at(queue, end - first)
        first = max(first, end - max(0, held_from - start))
        older.drop_before(first)
        front = ConsumeQueue()
        if older.min_offset < first and (run := older.run_at(first)) is not None:
            _, log_offset, place, count = run
            front.append(log_offset, place, count)
            older.drop_before(first + count)
        more_count = queue.rewind(max(start, 0), (older, front))
        del self._found[queue.id]
        return more_count

    def _forget(self) -> None:
        """Let go of what was found, and spilled, and did not come into its queue."""
        for found in self._found.values():
            found.drop_before(found.max_offset)
        self._found.clear()


def _offset_of(index: ConsumeQueue, place: tuple[int, int]) -> int:
    """The offset of the first message that does not lie below a place in the log."""
    low, high = index.min_offset, index.max_offset
    while low < high:
        middle = (low + high) // 2
        run = index.run_at(middle)
        if run is not None and run[1:3] < place:
            low = middle + 1
        else:
            high = middle
    return low
