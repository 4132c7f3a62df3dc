"""Now and then it is seen whether segments of the log may go that nobody needs: see `reclaim`.

What only groups that read along have not read yet is needed for the retention time: a group that
never comes back must not keep the log for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from core.commit_log import CommitLog, Segment
from core.light_queue import LightQueue
from core.options import BrokerOptions
from core.reclaim import find_reclaimable
from core.rewind import Rewind
from core.timer_index import TimerIndex


class Housekeeping:
    """Keeps the log from growing for ever.

    `begin_checkpoint` is called when a checkpoint would let segments go: only what one covers may.
    """

    _log = Logger()

    def __init__(
        self,
        log: CommitLog,
        queues: Mapping[int, LightQueue],
        timer_index: TimerIndex,
        rewinds: Collection[Rewind],
        clock: IReactorTime,
        options: BrokerOptions,
        begin_checkpoint: Callable[[], None],
    ) -> None:
        self._commit_log = log
        self._queues = queues
        self._timer_index = timer_index
        self._rewinds = rewinds
        self._clock = clock
        self._options = options
        self._begin_checkpoint = begin_checkpoint
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Look now, and every so often from now on."""
        self._call = self._clock.callLater(self._options.housekeeping_interval_s, self.start)
        self._retain()
        if len(self._commit_log.segments) > 1 and self._find(self._commit_log.end):
            self._begin_checkpoint()

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def reclaim(self, safe_end: int) -> None:
        """Delete the segments that nothing refers to, now that a checkpoint covers them."""
        for segment in self._find(safe_end):
            self._commit_log.drop(segment)
            self._log.info("segment {log_offset} is reclaimed", log_offset=segment.base)

    def _retain(self) -> None:
        """Keep nothing for those who only read that is older than the retention time."""
        if not self._options.retention_s:
            return  # Then the log is to be as small as it can, without a loss.
        since_ms = int((self._clock.seconds() - self._options.retention_s) * 1000)
        for queue in self._queues.values():
            if queue.group_offsets or queue.only_read:
                queue.retain(since_ms)

    def _find(self, safe_end: int) -> list[Segment]:
        return find_reclaimable(
            self._commit_log.segments,
            min((safe_end, *(rewind.start for rewind in self._rewinds))),
            (self._timer_index, *(queue.index for queue in self._queues.values())),
            self._options.retention_s,
            self._options.retained_size_max,
            self._clock.seconds(),
        )
