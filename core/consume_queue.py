"""The index of one light queue: which records hold its messages, by queue offset.

An entry is a run: consecutive messages of one record that went to this queue, under consecutive
queue offsets. It takes 24 bytes whether it stands for one message or for a thousand, kept in one
array:

    | queue offset of the first (8) | log offset of the record (8) | first message (4) | count (4) |

Offsets may have gaps between runs (what was not kept over a restart); never overlaps. The index is
derived data: it is rebuilt from the log and the checkpoint.

The older part of a long index may be in files (see `stretches`): then all in memory is newer.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from struct import Struct, pack
from typing import TYPE_CHECKING, TypeAlias

from core.errors import OffsetOutOfRangeError

if TYPE_CHECKING:
    from core.stretch import Stretch
    from core.stretches import Stretches

VOLATILE_BASE = 1 << 62  # Log offsets from here on are of transient batches: serial numbers.
RUN_WIDTH = 3
RUN_SIZE = RUN_WIDTH * 8
_COUNT_MASK = (1 << 31) - 1
TRANSIENT = 1 << 31  # Beside the count: in a record of the log, but no restart brings it back.
# Runs of one message each, as the third number of an entry, by their place in the record.
SINGLES = tuple(range(1, 4096 << 32, 1 << 32))
_pack_run = Struct("=3q").pack  # As the array has it; twice as fast as `array.extend`.
_TRIM_SIZE_MIN = 64 * RUN_WIDTH  # Many queues are idle: what was read takes little room in each.


# Queue offset of the first message, log offset of its record, its place there, message count.
# A plain tuple: one is made for every run that is delivered.
Run: TypeAlias = tuple[int, int, int, int]


def unpack_place(packed: int) -> tuple[int, int]:
    """The third number of an entry: the first message, and how many."""
    return packed >> 32, packed & _COUNT_MASK


def message_count(packed: int) -> int:
    """How many messages an entry is of, by its third number."""
    return packed & _COUNT_MASK


def moved_runs(runs: array[int], ahead: int) -> array[int]:
    """The same runs under offsets that are so much higher."""
    runs[0::RUN_WIDTH] = array("q", [offset + ahead for offset in runs[0::RUN_WIDTH]])
    return runs


def without_transient(runs: array[int]) -> array[int]:
    """The runs that a restart brings back."""
    kept = array("q")
    for position in range(0, len(runs), RUN_WIDTH):
        if runs[position + 1] < VOLATILE_BASE and not runs[position + 2] & TRANSIENT:
            kept.extend(runs[position : position + RUN_WIDTH])
    return kept


@lru_cache(maxsize=8)  # Of many queues that take turns, most ask for the same.
def _ordinals(start: int, count: int) -> array[int]:
    """So many numbers from `start` on; not to be changed."""
    return array("q", pack(f"={count}q", *range(start, start + count)))  # Faster than one by one.


class ConsumeQueue:
    """The runs of one queue, oldest first. Appending and reading in order are O(1)."""

    __slots__ = ("_has_transient", "_head", "_hint", "_older", "_runs", "max_offset")

    def __init__(
        self, max_offset: int = 0, runs: bytes = b"", older: Stretches | None = None
    ) -> None:
        self._older = older  # What is in files, if anything is.
        self._runs = array("q")
        self._runs.frombytes(runs)
        self._head = 0  # Position in the array of the oldest run that counts.
        self._hint = 0  # Position where the last lookup ended: reading goes on from there.
        self._has_transient = False  # Is a run marked so?
        self.max_offset = max_offset

    def __len__(self) -> int:
        """How many runs are in memory."""
        return (len(self._runs) - self._head) // RUN_WIDTH

    @property
    def min_offset(self) -> int:
        """The queue offset of the oldest message; `max_offset` if there is none."""
        if self._older is not None:
            return self._older.start
        runs = self._runs
        return runs[self._head] if self._head < len(runs) else self.max_offset

    @property
    def last_run_offset(self) -> int:
        """The queue offset at which the newest run begins; `max_offset` if there is none."""
        runs = self._runs
        if self._head < len(runs):
            return runs[-RUN_WIDTH]
        return self.max_offset if self._older is None else self._older.last_run_offset

    @property
    def runs(self) -> array[int]:
        """The entries in memory, as they are there."""
        return self._runs[self._head :]

    def append(self, log_offset: int, first: int, count: int) -> int:
        """Add a run behind the others; return the queue offset of its first message."""
        queue_offset = self.max_offset
        self._runs.frombytes(_pack_run(queue_offset, log_offset, first << 32 | count))
        self.max_offset = queue_offset + count
        return queue_offset

    def append_runs(self, log_offsets: array[int], places: array[int], are_singles: bool) -> None:
        """Add many runs: of each its log offset, and the third number of its entry.

        `are_singles` says that each is of one message.
        """
        count = len(places)
        if are_singles:
            starts = _ordinals(self.max_offset, count)
            self.max_offset += count
        else:
            ends = accumulate(map(message_count, places), initial=self.max_offset)
            *numbers, self.max_offset = ends
            starts = array("q", numbers)
        runs = array("q", bytes(RUN_SIZE * count))
        runs[0::RUN_WIDTH] = starts
        runs[1::RUN_WIDTH] = log_offsets
        runs[2::RUN_WIDTH] = places
        self._runs += runs

    def prepend(self, older: ConsumeQueue) -> None:
        """Put the runs of another index before all others, under the offsets right below them.

        The other one is not to be used any more. Raises `OSError` if the disk refuses: nothing is
        done then.
        """
        ahead = self.min_offset - older.max_offset
        if older.min_offset == older.max_offset:
            return
        assert older.min_offset + ahead >= 0
        if self._older is not None:
            self._older.prepend(moved_runs(older.runs, ahead))
            if older._older is not None:
                self._older.take_over(older._older, ahead)
        elif older._older is not None:
            older.spill(older._older)
            self._older = older._older
            self._older.move(ahead)
        else:
            self._runs = moved_runs(older.runs, ahead) + self.runs
            self._head = self._hint = 0

    def cut(self, end: int) -> None:
        """Let go of all from an offset on; no transient batch may be there."""
        if self._older is not None and end < self._older.end:
            self._runs, self._head = self._older.cut(end), 0
            self._older = self._older or None
        self._hint = self._head
        position = self._find(end)
        if position < len(self._runs) and self._runs[position] < end:
            self._runs[position + 2] -= message_count(self._runs[position + 2])
            self._runs[position + 2] += end - self._runs[position]
            position += RUN_WIDTH
        del self._runs[position:]
        self.max_offset = end

    def spill(self, to: Stretches) -> None:
        """Move all that is in memory to files: those where older runs are, or else `to`.

        Raises `OSError` if the disk refuses: the rest stays in memory.
        """
        older = to if self._older is None else self._older
        runs, position = self._runs, self._head
        step = older.run_count_max * RUN_WIDTH
        try:
            while position < len(runs):
                following = position + step
                older.append(runs[position:following], self._has_transient)
                position = following
        finally:
            self._runs = runs[position:]
            self._head = self._hint = 0
            self._older = older or None

    def replace(self, lost: Stretch, runs: array[int]) -> None:
        """These are the runs of a stretch that was lost."""
        assert self._older is not None
        self._older.replace(lost, runs)

    def first_kept(self) -> tuple[int, int] | None:
        """The record, and the place in it, of the oldest run that a restart brings back."""
        if self._older is not None and (found := self._older.first_kept()) is not None:
            return found
        runs = self._runs
        for position in range(self._head, len(runs), RUN_WIDTH):
            if runs[position + 1] < VOLATILE_BASE and not runs[position + 2] & TRANSIENT:
                return runs[position + 1], runs[position + 2] >> 32
        return None

    def mark_transient(self) -> None:
        """Leave the run that was just appended out of every checkpoint."""
        self._runs[-1] |= TRANSIENT
        self._has_transient = True

    def skip(self, count: int) -> None:
        """Leave a gap of `count` offsets at the end."""
        self.max_offset += count

    def run_at(self, queue_offset: int) -> Run | None:
        """The part, from `queue_offset` on, of the run that holds it; after a gap, the next run.

        None at the end of the queue. Nothing below `min_offset` may be asked for.
        """
        if queue_offset >= self.max_offset:
            return None
        runs = self._runs
        # Reading goes on in order: mostly at the run behind that of the last look-up.
        position = self._hint + RUN_WIDTH
        if position < len(runs) and runs[position] == queue_offset:
            self._hint = position
        else:
            if self._older is not None and queue_offset < self._older.end:
                run = self._older.run_at(queue_offset)
                if run is not None:
                    return run
            position = self._find(queue_offset)
            if position >= len(runs):
                return None
        start, log_offset, packed = runs[position : position + RUN_WIDTH]
        first, count = packed >> 32, packed & _COUNT_MASK
        ahead = queue_offset - start
        if ahead <= 0:
            return start, log_offset, first, count
        return queue_offset, log_offset, first + ahead, count - ahead

    def drop_before(self, queue_offset: int) -> Sequence[int]:
        """Drop the runs that lie wholly below `queue_offset`; return their log offsets.

        Of those in files, all that belong to transient batches are named.
        """
        if self._older is not None:
            from_files = self._older.drop_before(queue_offset)
            if self._older:
                return from_files
            self._older = None
            return [*from_files, *self.drop_before(queue_offset)]
        runs, position = self._runs, self._head
        end = len(runs)
        dropped: list[int] = []
        while position < end and (
            runs[position] + (runs[position + 2] & _COUNT_MASK) <= queue_offset
        ):
            dropped.append(runs[position + 1])
            position += RUN_WIDTH
        if position >= _TRIM_SIZE_MIN and position * 2 >= end:
            del runs[:position]
            self._hint = max(0, self._hint - position)
            position = 0
        self._head = position
        return dropped

    def refers_to(self, start: int, end: int) -> bool:
        """Does a run lie in the log between these offsets?

        Durable records came in the order of their log offsets; transient ones are between them.
        """
        if self._older is not None and self._older.refers_to(start, end):
            return True
        offsets = self._runs[self._head + 1 :: RUN_WIDTH]
        if offsets and max(offsets) >= VOLATILE_BASE:
            offsets = array("q", [offset for offset in offsets if offset < VOLATILE_BASE])
        index = bisect_left(offsets, start)
        return index < len(offsets) and offsets[index] < end

    def gaps(self, start: int) -> Iterator[tuple[int, int]]:
        """The offsets from `start` on at which nothing is held."""
        if self._older is not None:
            yield from self._older.gaps(start)
            start = max(start, self._older.end)
        runs = self._runs
        for position in range(self._find(start), len(runs), RUN_WIDTH):
            if start < runs[position]:
                yield start, runs[position]
            start = runs[position] + (runs[position + 2] & _COUNT_MASK)
        if start < self.max_offset:
            yield start, self.max_offset

    def passing(self, start: int) -> Iterator[tuple[int, int]]:
        """Where, from `start` on, messages are held that no restart brings back."""
        if self._older is not None:
            yield from self._older.passing(start)
        runs = self._runs
        for position in range(self._find(start), len(runs), RUN_WIDTH):
            first, packed = runs[position], runs[position + 2]
            if runs[position + 1] >= VOLATILE_BASE or packed & TRANSIENT:
                yield max(start, first), first + (packed & _COUNT_MASK)

    def to_bytes(self) -> bytes:
        """The runs in memory that a restart brings back, for a checkpoint."""
        runs = self.runs
        return (without_transient(runs) if self._has_transient else runs).tobytes()

    def stretches_to_bytes(self) -> bytes:
        """What is in files, for a checkpoint."""
        return b"" if self._older is None else self._older.to_bytes()

    def _find(self, queue_offset: int) -> int:
        """The position of the first run that ends behind `queue_offset`; the new hint."""
        runs = self._runs
        position = self._hint
        if self._head <= position < len(runs):
            start = runs[position]
            if start <= queue_offset < start + (runs[position + 2] & _COUNT_MASK):
                return position
        low, high = self._head // RUN_WIDTH, len(runs) // RUN_WIDTH
        while low < high:
            middle = (low + high) // 2
            position = middle * RUN_WIDTH
            if runs[position] + (runs[position + 2] & _COUNT_MASK) > queue_offset:
                high = middle
            else:
                low = middle + 1
        self._hint = low * RUN_WIDTH
        return self._hint

    def check(self, queue_offset: int) -> None:
        """Raise `OffsetOutOfRangeError` unless a message may be found at `queue_offset`."""
        if not self.min_offset <= queue_offset < self.max_offset:
            raise OffsetOutOfRangeError(
                f"offset {queue_offset} is not in {self.min_offset} to {self.max_offset}"
            )
