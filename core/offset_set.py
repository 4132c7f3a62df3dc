"""A set of offsets that stays small, whether they are few, scattered densely, or in long runs.

It is made of chunks of 1,024 offsets. One that is partly in the set is an int with a bit for each,
the lowest first; neighbouring ones that are wholly in it are one entry together. So a run of
millions takes as much as a single offset, and every second one of ten million takes 2 MB.

A change within a chunk costs a look-up and a new int of at most 160 bytes. Only where a chunk comes
or goes its place among the others is searched for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping

_SHIFT = 10
_SIZE = 1 << _SHIFT  # Of a chunk; also of a bitmap on the disk.
_MASK = _SIZE - 1
_FULL = (1 << _SIZE) - 1
_BITS = [1 << place for place in range(_SIZE)]  # To shift takes five times as long.
_PACKED_RUNS_MAX = 8  # With more of them, a chunk is packed as a bitmap.


class OffsetSet(dict[int, int]):
    """By number of the chunk its bits, or minus how many chunks from there on are full.

    It is true if anything is in it, at the speed of a dict. All else that a dict can do is private.
    """

    __slots__ = ("_numbers",)

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__()
        self._numbers: list[int] = []  # The keys, lowest first.
        for start, end in runs:
            self.add(start, end)

    # One run

    def add(self, start: int, end: int) -> None:
        """Put in `start` up to, not including, `end`; some of it may be there already."""
        number = start >> _SHIFT
        if end - start == 1:
            self._add_bits(number, _BITS[start & _MASK])
            return
        if start >= end:
            return
        last = end >> _SHIFT
        if last == number:
            self._add_bits(number, (1 << end - start) - 1 << (start & _MASK))
            return
        if start & _MASK:
            self._add_bits(number, _FULL ^ (1 << (start & _MASK)) - 1)
            number += 1
        if number < last:
            self._add_full(number, last)
        if end & _MASK:
            self._add_bits(last, (1 << (end & _MASK)) - 1)

    def discard(self, start: int, end: int) -> None:
        """Take out `start` up to, not including, `end`, as far as it is there."""
        if start >= end:
            return
        numbers = self._numbers
        low = max(0, bisect_right(numbers, start >> _SHIFT) - 1)
        high = bisect_right(numbers, end - 1 >> _SHIFT)
        touched, numbers[low:high] = numbers[low:high], []
        for number, bits in [(number, self.pop(number)) for number in touched]:
            base = number << _SHIFT
            if bits < 0:
                stop = number - bits << _SHIFT
                self.add(base, min(start, stop))
                self.add(end, stop)
                continue
            first, behind = max(start - base, 0), min(end - base, _SIZE)
            if first < behind:
                bits &= ~((1 << behind) - (1 << first))
            if bits:
                self._add_bits(number, bits)

    def pop_at(self, start: int) -> int:
        """Take out the run that begins at `start`, and return its end: `start` if there is none."""
        number, at = start >> _SHIFT, start & _MASK
        bits = self.get(number)
        if bits is None:
            return start
        bit = _BITS[at]
        if bits == bit:  # Nothing else is there, as where two changed places.
            left, end = 0, at + 1
        elif bits < 0:
            left, end = 0, -bits << _SHIFT
        elif bits & bit:
            carried = bits + bit  # It carries through the run, to the first bit behind it.
            left, end = bits & carried, (bits ^ carried).bit_length() - 1
        else:
            return start
        if left:
            self[number] = left
        else:
            del self[number]
            self._numbers.remove(number)  # Mostly the first one.
        end += number << _SHIFT
        return end if end & _MASK else self.pop_at(end)

    # Looking

    def holds(self, offset: int) -> bool:
        """Is this offset in the set?"""
        return self.hole_from(offset) != offset

    def hole_from(self, position: int) -> int:
        """The lowest offset that is not in the set, from `position` on."""
        numbers = self._numbers
        while True:
            number, at = position >> _SHIFT, position & _MASK
            index = bisect_right(numbers, number) - 1
            if index < 0:
                return position
            found = numbers[index]
            bits = self[found]
            if bits < 0 and number < found - bits:
                position = found - bits << _SHIFT
            elif bits < 0 or found < number:
                return position
            else:
                end = (bits ^ bits + _BITS[at]).bit_length() - 1  # As in `pop_at`.
                position += end - at
                if end < _SIZE:
                    return position

    def first_from(self, position: int) -> int | None:
        """The lowest offset in the set, from `position` on; None if there is none."""
        numbers = self._numbers
        number = position >> _SHIFT
        index = bisect_right(numbers, number) - 1
        if index >= 0:
            found = numbers[index]
            bits = self[found]
            if bits < 0:
                if number < found - bits:
                    return position
            elif found == number and (ahead := bits >> (position & _MASK)):
                return position + _lowest(ahead)
        if index + 1 == len(numbers):
            return None
        found = numbers[index + 1]
        bits = self[found]
        return (found << _SHIFT) + (_lowest(bits) if bits > 0 else 0)

    @property
    def end(self) -> int:
        """Behind the highest offset; 0 if there is none."""
        if not self._numbers:
            return 0
        number = self._numbers[-1]
        bits = self[number]
        return (number << _SHIFT) + bits.bit_length() if bits > 0 else number - bits << _SHIFT

    def count(self) -> int:
        """How many offsets are in the set."""
        return sum(bits.bit_count() if bits > 0 else -bits << _SHIFT for bits in self.values())

    def runs(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
        """What is between `start` and `end`, as disjoint intervals that do not touch, in order."""
        end = self.end if end is None else end
        first = self.first_from(start)
        while first is not None and first < end:
            behind = self.hole_from(first)
            yield first, min(behind, end)
            first = self.first_from(behind)

    # All of another set

    def copy(self) -> OffsetSet:
        """Another set of the same offsets."""
        twin = OffsetSet()
        twin.update(self)
        twin._numbers += self._numbers
        return twin

    def add_all(self, other: OffsetSet) -> None:
        """Put in what is in another set."""
        for number, bits in other.items():
            if bits > 0:
                self._add_bits(number, bits)
            else:
                self._add_full(number, number - bits)

    def discard_all(self, other: OffsetSet) -> None:
        """Take out what is in another set."""
        for number, bits in other.items():
            base = number << _SHIFT
            if bits < 0:
                self.discard(base, number - bits << _SHIFT)
            elif here := self._bits(number):
                self.discard(base, base + _SIZE)
                if left := here & ~bits:
                    self._add_bits(number, left)

    # On the disk

    def pack(self) -> tuple[list[tuple[int, int]], dict[int, bytes]]:
        """All of it in little room: intervals, and the bitmaps of chunks that would be many."""
        intervals: list[tuple[int, int]] = []
        bitmaps: dict[int, bytes] = {}
        for number in self._numbers:
            bits = self[number]
            base = number << _SHIFT
            if bits < 0:
                intervals.append((base, number - bits << _SHIFT))
            elif (bits & ~(bits << 1)).bit_count() > _PACKED_RUNS_MAX:
                bitmaps[number] = bits.to_bytes(_SIZE // 8, "little")
            else:
                while bits:
                    start = _lowest(bits)
                    carried = bits + (1 << start)
                    end = (bits ^ carried).bit_length() - 1
                    intervals.append((base + start, base + end))
                    bits &= carried
        return intervals, bitmaps

    @classmethod
    def unpack(
        cls, intervals: Iterable[tuple[int, int]], bitmaps: Mapping[int, bytes]
    ) -> OffsetSet:
        """What was packed."""
        offsets = cls(intervals)
        for number, bitmap in bitmaps.items():
            offsets._add_bits(number, int.from_bytes(bitmap, "little"))
        return offsets

    # The rest is private

    def _add_bits(self, number: int, bits: int) -> None:
        """Put in some of a chunk."""
        known = self.get(number)
        if known is None:
            numbers = self._numbers
            index = bisect_left(numbers, number) if numbers else 0
            # If that is no full chunk, its bits are more than 0: the difference is below it.
            if index and number < numbers[index - 1] - self[numbers[index - 1]]:
                return
            if bits != _FULL:
                numbers.insert(index, number)
                self[number] = bits
                return
        elif known < 0:
            return
        else:
            bits |= known
        if bits == _FULL:
            self._add_full(number, number + 1)
        else:
            self[number] = bits

    def _add_full(self, first: int, end: int) -> None:
        """Put in all of some chunks, and join them with the full ones that they touch."""
        numbers = self._numbers
        low = high = bisect_left(numbers, first)
        if low and first <= numbers[low - 1] - self[numbers[low - 1]]:
            low -= 1
            first = numbers[low]
        high = low
        while high < len(numbers) and (
            numbers[high] < end or (numbers[high] == end and self[end] < 0)
        ):
            end = max(end, numbers[high] - self.pop(numbers[high]))
            high += 1
        numbers[low:high] = [first]
        self[first] = first - end

    def _bits(self, number: int) -> int:
        """Those of a chunk, full or not."""
        bits = self.get(number)
        if bits is None:
            numbers = self._numbers
            index = bisect_left(numbers, number)
            is_full = index and number < numbers[index - 1] - self[numbers[index - 1]]
            return _FULL if is_full else 0
        return bits if bits > 0 else _FULL


def _lowest(bits: int) -> int:
    """The place of the lowest bit that is set; there must be one."""
    return (bits & -bits).bit_length() - 1
