"""The timer store: messages that are to be published later.

A timer is appended to the log once, as a message is, and is as durable. When its time comes it is
read back and given to its owner, who publishes it; it is settled when that is stored. So a crash
may make one fire twice, and loses none.

Timers fire in the order of their times, in batches, each in a turn of its own. The clock is asked
for one call at a time: the next time that something fires.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from core.commit_log import CommitLog
from core.errors import CorruptRecordError, is_disk_full
from core.progress import Progress
from core.record import Buffer
from core.timer_index import TimerIndex
from core.timer_record import Timer, TimerId, decode_timer, encode_timer, locate_timers
from core.timer_run import OWNER_MASK, Entry, Key

_BATCH_COUNT = 512  # Timers that fire in one turn.
_FIRING_COUNT_MAX = 16  # Batches that may wait for the disk.
_WAIT_MAX_S = 3600.0  # The clock need not count further: some cannot.
_RETRY_INTERVAL_S = 1.0  # So often a full disk is tried again.
_ROUNDING_MS = 0.01  # The clock counts in fractions of a second, which are not exact.
_READ_SIZE_MAX = 1 << 20
_READ_GAP_MAX = 4096  # Rather read so much in vain than once more.
_OFFSET_MASK = (1 << 64) - 1


class DueTimer(NamedTuple):
    """A timer that was read back."""

    id: TimerId
    owner: int
    origin: int
    stored: bytes


# Publishes timers whose time has come, and calls back when all that they set off is stored.
# Raises `OSError` if the disk refuses: then all of them come again.
Publish: TypeAlias = "Callable[[Sequence[DueTimer], Callable[[], None]], None]"


class _Batch:
    """Timers that are firing; `log_end` is how far the log went when they were chosen."""

    __slots__ = ("entries", "log_end", "unstored_count")

    def __init__(self, entries: list[Entry], log_end: int) -> None:
        self.entries = entries
        self.log_end = log_end
        self.unstored_count = 1  # Calls to owners that are not stored; one more until all are made.


class Timers:
    """Append, fire, cancel, look at.

    `append_record` appends the payload of one record of timers to the log.
    """

    _log = Logger()

    def __init__(
        self,
        index: TimerIndex,
        commit_log: CommitLog,
        progress: Progress,
        clock: IReactorTime,
        append_record: Callable[[list[int], list[Buffer]], int],
        end_turn: Callable[[], None],
    ) -> None:
        self._index = index
        self._commit_log = commit_log
        self._progress = progress
        self._clock = clock
        self._append_record = append_record
        self._end_turn = end_turn
        self._owners: dict[int, Publish] = {}
        self._fired: Key = 0  # All up to here that were in the log fired.
        self._firing: deque[_Batch] = deque()
        self._call: IDelayedCall | None = None
        self._call_at_ms = 0
        self._started = False

    # Life

    def start(self, fired: Key) -> None:
        """Everything is back: fire what is due, in the next turn."""
        self._fired = fired
        self._started = True
        self._arm()

    def stop(self) -> None:
        """Fire nothing any more."""
        self._started = False
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def stored(self) -> None:
        """All that was published so far is on the disk: a stop need not wait to be told."""
        for batch in self._firing:
            batch.unstored_count = 0
        self._settle()

    @property
    def firing(self) -> Iterator[Entry]:
        """What fired, and would have to fire again after a crash."""
        return (entry for batch in self._firing for entry in batch.entries)

    # Owners

    def add_owner(self, owner: int, publish: Publish) -> None:
        """Timers may be this owner's; `publish` does what they are for."""
        self._owners[owner] = publish
        self._index.add_owner(owner)

    def drop_owner(self, owner: int) -> None:
        """An owner goes, and its timers with it."""
        self._owners.pop(owner, None)
        self._index.drop_owner(owner)

    def count(self, owner: int) -> int:
        """How many timers an owner has."""
        return self._index.count(owner)

    # Timers

    def append(self, timers: Sequence[Timer]) -> list[TimerId]:
        """Append timers to the log, as one record: durable together. Returns their ids.

        Raises `OSError` if the disk refuses; nothing is appended then.
        """
        payload: list[Buffer] = [encode_timer(timer) for timer in timers]
        sizes = list(map(len, payload))
        places = locate_timers(self._append_record(sizes, payload), sizes)
        ids = []
        for timer, size, place in zip(timers, sizes, places, strict=True):
            self._index.add(timer.fire_ms << 64 | place, size << 32 | timer.owner)
            ids.append(TimerId(timer.fire_ms, place))
        self._arm()
        return ids

    def cancel(self, id: TimerId, owners: Container[int]) -> bool:
        """Cancel a timer of one of these owners; False if there is none, or it has fired."""
        key = id.fire_ms << 64 | id.log_offset
        if self._index.find(key, owners) is None or not self._index.take(key):
            return False
        self._progress.timer_cancelled(*id)
        return True

    def find(self, id: TimerId, owners: Container[int]) -> DueTimer | None:
        """The timer of this id, if it waits and is one of these owners'."""
        key = id.fire_ms << 64 | id.log_offset
        value = self._index.find(key, owners)
        return next(iter(self._read([(key, value)])), None) if value is not None else None

    def look(self, owners: Container[int], after: TimerId | None, count: int) -> list[DueTimer]:
        """At most `count` timers of these owners, in the order of their times, behind `after`."""
        key = -1 if after is None else after.fire_ms << 64 | after.log_offset
        return self._read(list(islice(self._index.entries(key, owners), count)))

    # The rest is private

    @property
    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000 + _ROUNDING_MS)

    def _arm(self) -> None:
        """Have the clock call when the next timer is due; too early does no harm."""
        at_ms = self._index.next_ms
        if at_ms is None or not self._started or len(self._firing) >= _FIRING_COUNT_MAX:
            return
        self._call_at(at_ms)

    def _call_at(self, at_ms: int) -> None:
        if self._call is not None:
            if self._call_at_ms <= at_ms:
                return
            self._call.cancel()
        self._call_at_ms = at_ms
        delay_s = min(max(0.0, at_ms / 1000 - self._clock.seconds()), _WAIT_MAX_S)
        self._call = self._clock.callLater(delay_s, self._timed_out)

    def _timed_out(self) -> None:
        self._call = None
        try:
            self._fire()
        except OSError as error:
            if not is_disk_full(error):
                raise
            self._log.error("timers wait for room on the disk: {error}", error=error)
            self._call_at(self._now_ms + int(_RETRY_INTERVAL_S * 1000))
        else:
            self._arm()
        self._end_turn()

    def _fire(self) -> None:
        """Give one batch of what is due to its owners. Raises `OSError`: they are due again."""
        entries = self._index.pop(self._now_ms, _BATCH_COUNT)
        if not entries:
            return
        batch = _Batch(entries, self._commit_log.end)
        self._firing.append(batch)

        def on_stored() -> None:
            batch.unstored_count -= 1
            if not batch.unstored_count:
                self._settle()

        try:
            due = [timer for timer in self._read(entries) if timer.owner in self._owners]
            for publish, timers in groupby(due, lambda timer: self._owners[timer.owner]):
                batch.unstored_count += 1
                publish(list(timers), on_stored)
        except OSError:
            self._firing.remove(batch)
            self._index.give_back(entries)
            raise
        on_stored()

    def _settle(self) -> None:
        """What fired first is settled first, so that one mark tells how far it went."""
        while self._firing and not self._firing[0].unstored_count:
            batch = self._firing.popleft()
            self._index.release(batch.entries)
            last = batch.entries[-1][0]
            if last >= self._fired:
                self._fired = last
                self._progress.timers_fired(last >> 64, last & _OFFSET_MASK, batch.log_end)
            else:  # Overdue when they were appended: others with later times fired before.
                for key, _ in batch.entries:
                    self._progress.timer_cancelled(key >> 64, key & _OFFSET_MASK)
        self._arm()

    def _read(self, entries: Sequence[Entry]) -> list[DueTimer]:
        """Read timers back; one that cannot be read is reported and left out."""
        found: dict[Key, DueTimer] = {}
        for group in self._neighbours(entries):
            start = group[0][0] & _OFFSET_MASK
            last_key, last_value = group[-1]
            data = self._read_log(start, (last_key & _OFFSET_MASK) + (last_value >> 32) - start)
            for key, value in group:
                at = (key & _OFFSET_MASK) - start
                try:
                    timer = decode_timer(data[at : at + (value >> 32)])
                except CorruptRecordError as error:
                    self._log.error(
                        "a timer at log offset {log_offset} is lost: {error}",
                        log_offset=start + at,
                        error=error,
                    )
                    continue
                id = TimerId(key >> 64, key & _OFFSET_MASK)
                found[key] = DueTimer(id, value & OWNER_MASK, timer.origin, timer.stored)
        return [found[key] for key, _ in entries if key in found]

    def _read_log(self, start: int, size: int) -> bytes:
        try:
            return self._commit_log.read(start, size)
        except CorruptRecordError:
            return b""  # Its segment is gone: so each timer is reported.

    def _neighbours(self, entries: Sequence[Entry]) -> Iterator[list[Entry]]:
        """The same by log offset, in groups that are worth being read at once."""
        group: list[Entry] = []
        read_end = end = 0
        for entry in sorted(entries, key=lambda entry: entry[0] & _OFFSET_MASK):
            place, size = entry[0] & _OFFSET_MASK, entry[1] >> 32
            if group and (place - end > _READ_GAP_MAX or place + size > read_end):
                yield group
                group = []
            if not group:
                read_end = min(place + _READ_SIZE_MAX, self._commit_log.segment_at(place).end)
            group.append(entry)
            end = place + size
        if group:
            yield group
