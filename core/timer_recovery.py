"""Bringing the timers back: the checkpoint's, those in the tail of the log, less what is done with.

The journal says what fired as a mark: all up to some timer, of those that the log had by then. A
timer that came later with an earlier time is not covered by it. If power loss took more of the log
than of the journal, what the journal says of the timers that are gone must not be believed of those
that get their places; so that is written down (`Kind.VOID`).
"""

from __future__ import annotations

from core.progress import Entry, Kind, Progress
from core.record import Record
from core.timer_index import TimerIndex
from core.timer_record import iterate_timers
from core.timer_run import Key

KINDS = (Kind.FIRED, Kind.CANCELLED, Kind.VOID)
_COUNT_MAX = 4096


class TimerRecovery:
    """Fills an index that was restored from the checkpoint."""

    def __init__(self, index: TimerIndex) -> None:
        self._index = index
        self._settled: set[Key] = set()
        self._log_end = 0
        self.fired: Key = 0  # All up to here fired, if they are in the log before its end then.
        self.owner_max = 0

    def apply(self, entry: Entry) -> None:
        """What the journal says."""
        if entry.kind == Kind.FIRED:
            self.fired = entry.id << 64 | entry.a
            self._log_end = entry.b
        elif entry.kind == Kind.CANCELLED:
            self._settled.add(entry.a << 64 | entry.b)
        else:
            self._forget(entry.a)

    def add(self, record: Record) -> None:
        """A record of timers in the tail of the log. Raises `CorruptRecordError`."""
        for id, size, timer in iterate_timers(record):
            if timer.replaces is not None:
                self._settled.add(timer.replaces.fire_ms << 64 | timer.replaces.log_offset)
            self.owner_max = max(self.owner_max, timer.owner)
            self._index.add(id.fire_ms << 64 | id.log_offset, size << 32 | timer.owner)

    def finish(self, log_end: int, progress: Progress) -> None:
        """The log is read, and ends here: what is done with goes."""
        if self._forget(log_end):
            progress.void(log_end)
        for key in self._settled:
            self._index.take(key)
        later = []
        while popped := self._index.pop(self.fired >> 64, _COUNT_MAX):
            for entry in popped:
                if entry[0] > self.fired or entry[0] & ((1 << 64) - 1) >= self._log_end:
                    later.append(entry)
                else:
                    self._index.release((entry,))
        self._index.give_back(later)

    def _forget(self, log_end: int) -> bool:
        """Forget what was said of timers behind this end of the log; was there any?"""
        gone = {key for key in self._settled if key & ((1 << 64) - 1) >= log_end}
        self._settled -= gone
        if self._log_end <= log_end:
            return bool(gone)
        self._log_end = log_end
        return True
