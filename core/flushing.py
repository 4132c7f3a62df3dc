"""When the files are flushed: as soon as somebody waits, else now and then.

And how far behind the disk is.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from core.commit_log import CommitLog
from core.group_commit import Flush, GroupCommit, sync_files
from core.metadata import Metadata
from core.options import BrokerOptions
from core.progress import Progress
from core.timer_index import TimerIndex
from core.turn import Turn


class Flushing:
    """Brings the log, the metadata, the timers' files and the progress journal to the disk."""

    def __init__(
        self,
        log: CommitLog,
        metadata: Metadata,
        progress: Progress,
        timer_index: TimerIndex,
        clock: IReactorTime,
        flush: Flush,
        options: BrokerOptions,
        turn: Turn,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.commit = GroupCommit(self._begin_sync, flush, turn, failed)
        self._log = log
        self._metadata = metadata
        self._progress = progress
        self._timer_index = timer_index
        self._clock = clock
        self._options = options
        self._call: IDelayedCall | None = None
        self._progress_synced_at = 0.0
        self._synced_end = 0  # The log is on the disk up to here.
        self._relief: list[Callable[[], None]] = []

    def start(self) -> None:
        """What was recovered is on the disk."""
        self._synced_end = self._log.end

    def appended(self) -> None:
        """Something came into the log that perhaps nobody waits for."""
        if self._call is None:
            self._plan(self._options.async_flush_interval_s)

    def progressed(self) -> None:
        """The progress journal was written: who only consumes shall not be given it all again."""
        if self._call is None and self._progress.is_dirty:
            self._plan(self._options.progress_flush_interval_s)

    @property
    def congested(self) -> bool:
        """Has more been written than the disk keeps up with?"""
        return self._log.end - self._synced_end > self._options.unflushed_size_max

    def when_relieved(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the disk has caught up."""
        self._relief.append(callback)

    def stop(self) -> None:
        """Nothing is flushed any more but by `finish`; one that is on its way comes too late."""
        self.commit.stop()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def finish(self) -> None:
        """Flush what there is. Blocks."""
        sync_files(self._unsynced_files())

    # The rest is private

    def _plan(self, delay_s: float) -> None:
        self._call = self._clock.callLater(delay_s, self._flush)

    def _flush(self) -> None:
        """Bring to the disk what nobody waits for."""
        self.commit.flush_now(lambda: None)
        self._call = None  # Not before: what the turn wrote is flushed with the rest.

    def _begin_sync(self) -> list[int]:
        """Everything that a flush must cover; notes how far it will have come."""
        end = self._log.end

        def note() -> None:
            self._synced_end = end
            if self._relief and not self.congested:
                relief, self._relief = self._relief, []
                for callback in relief:
                    callback()

        self.commit.when_durable(note)
        return self._unsynced_files()

    def _unsynced_files(self) -> list[int]:
        descriptors = self._metadata.begin_sync() + self._log.begin_sync()
        descriptors += self._timer_index.begin_sync()
        now = self._clock.seconds()
        due = now - self._progress_synced_at >= self._options.progress_flush_interval_s
        if due or self._progress.was_left:
            self._progress_synced_at = now
            descriptors += self._progress.begin_sync()
        return descriptors
