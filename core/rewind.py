"""Rewind: what queues had, and have let go of, is found again in the log and is ready once more.

An index forgets what its group is done with; the log remembers it until its segment is reclaimed.
So a piece of the log is read at a time, without the bodies, while the broker goes on. What is found
gets its place before everything that the index still holds, under the offsets that lie there: those
that it had, unless transient messages were between.

All that is not in flight from there on is ready then, at its own place. Messages that lived only in
memory are gone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from core.commit_log import CommitLog
from core.light_queue import LightQueue
from core.log_rows import LogRows, equal_runs
from core.record import RecordHeader

_PIECES_COUNT = 4  # So many are read before others have their turn: more than they append then.

# Log offset of the record, the first message in it, how many: consecutive messages of one queue.
Found: TypeAlias = tuple[int, int, int]


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
        queue_ids: Mapping[int, tuple[int, ...]],
        start: int,
        clock: IReactorTime,
        done: Callable[[int | BaseException], None],
    ) -> None:
        self.start = start
        self._queues = queues
        self._target = target
        self._log = log
        self._queue_ids = queue_ids
        self._clock = clock
        self._done = done
        self._rows = LogRows(log, start, target.wants)
        self._found: dict[int, list[Found]] = {queue.id: [] for queue in queues}
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
            self._done(error)
        else:
            self._done(more_count)

    def stop(self) -> None:
        """Nobody waits for it any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    # The rest is private

    def _end(self) -> int:
        """Where the log need be read no further: what lies behind is in the indexes."""
        return max((self._boundary(queue)[0] for queue in self._queues), default=0)

    def _boundary(self, queue: LightQueue) -> tuple[int, int]:
        """The first message of the log that the index of a queue holds: record, and place in it."""
        return queue.index.first_kept() or (self._log.end, 0)

    def _read_piece(self) -> None:
        """Note what the next piece of the log has of the queues."""
        for log_offset, route_ids in self._rows.read_piece():
            for route_id, first, count in equal_runs(route_ids):
                for id in self._queue_ids.get(route_id, ()):
                    if id in self._found:
                        self._found[id].append((log_offset, first, count))

    def _apply(self, queue: LightQueue) -> int:
        """Rewind one queue, now that all is found; return how many messages more are ready."""
        older = self._found[queue.id]
        boundary = self._boundary(queue)
        del older[bisect_left(older, (*boundary, 0)) :]
        if older and older[-1][0] == boundary[0]:
            log_offset, first, count = older[-1]
            older[-1] = (log_offset, first, min(count, boundary[1] - first))
        held_from = queue.min_offset
        _keep_newest(older, held_from)  # No offset is below 0.
        start = self._target.begins_at(queue, sum(count for _, _, count in older))
        _keep_newest(older, max(0, held_from - start))
        return queue.rewind(max(start, 0), older)


def _keep_newest(runs: list[Found], wanted: int) -> None:
    """Leave the last `wanted` messages in `runs`."""
    position = len(runs)
    while position and wanted > 0:
        position -= 1
        log_offset, first, count = runs[position]
        if count > wanted:
            runs[position] = (log_offset, first + count - wanted, wanted)
        wanted -= runs[position][2]
    del runs[:position]
