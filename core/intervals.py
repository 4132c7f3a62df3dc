"""Sets of integers that grow by intervals, in any order, and merge neighbours."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

_TRIM_COUNT_MIN = 64


class Intervals(dict[int, int]):
    """Disjoint, never touching half-open intervals: start -> end, and found by the end as well.

    What is added must not overlap what is there: an offset is settled once.
    """

    __slots__ = ("_start_of",)

    def __init__(self) -> None:
        super().__init__()
        self._start_of: dict[int, int] = {}

    def in_order(self) -> list[tuple[int, int]]:
        """All intervals, lowest first."""
        return sorted(self.items())

    def add(self, start: int, end: int) -> None:
        """Add `start` up to, not including, `end`; joins the intervals that it touches."""
        assert start < end
        before = self._start_of.pop(start, None)
        if before is not None:
            start = before
        after = self.pop(end, None)
        if after is not None:
            end = after
        self[start] = end
        self._start_of[end] = start

    def pop_at(self, start: int) -> int | None:
        """Remove the interval that begins at `start` and return its end; None if none does."""
        end = self.pop(start, None)
        if end is not None:
            del self._start_of[end]
        return end


class OrderedIntervals:
    """The same, kept in order, so that one can ask what lies ahead.

    Growing at the end and taking from the beginning are O(1); elsewhere it costs a binary search
    and a move of what lies behind.
    """

    __slots__ = ("_ends", "_head", "_starts")

    def __init__(self, intervals: list[tuple[int, int]] | None = None) -> None:
        """Begin with disjoint, never touching intervals, lowest first."""
        self._starts = [start for start, _ in intervals or ()]
        self._ends = [end for _, end in intervals or ()]
        self._head = 0  # Those before it are gone.

    def __bool__(self) -> bool:
        return self._head < len(self._starts)

    @property
    def first_start(self) -> int:
        """Where the lowest begins; there must be one."""
        return self._starts[self._head]

    def pop_first(self) -> int:
        """Remove the lowest and return its end."""
        end = self._ends[self._head]
        self._head += 1
        if self._head >= _TRIM_COUNT_MIN and self._head * 2 >= len(self._starts):
            del self._starts[: self._head], self._ends[: self._head]
            self._head = 0
        return end

    def add(self, start: int, end: int) -> None:
        """Add an interval that overlaps none; joins those that it touches."""
        starts, ends = self._starts, self._ends
        at = bisect_left(starts, start, self._head)
        touches_before = at > self._head and ends[at - 1] == start
        touches_after = at < len(starts) and starts[at] == end
        if touches_before and touches_after:
            ends[at - 1] = ends[at]
            del starts[at], ends[at]
        elif touches_before:
            ends[at - 1] = end
        elif touches_after:
            starts[at] = start
        else:
            starts.insert(at, start)
            ends.insert(at, end)

    def in_order(self) -> list[tuple[int, int]]:
        """All intervals, lowest first."""
        return list(zip(self._starts[self._head :], self._ends[self._head :], strict=True))

    def hole_at(self, position: int) -> tuple[int, int | None]:
        """The first hole from `position` on: where it begins, and ends if it does."""
        at = bisect_right(self._starts, position, self._head)
        if at > self._head:
            position = max(position, self._ends[at - 1])
        return position, self._starts[at] if at < len(self._starts) else None


def runs_of(numbers: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Ascending numbers as disjoint, never touching intervals."""
    if not numbers or numbers[-1] - numbers[0] == len(numbers) - 1:
        return [(numbers[0], numbers[-1] + 1)] if numbers else []
    return join((number, number + 1) for number in numbers)


def join(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in disjoint, never touching intervals, lowest first."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif start < end:
            joined.append((start, end))
    return joined


def subtract(
    intervals: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """What is in `intervals` and not in `others`, lowest first."""
    left: list[tuple[int, int]] = []
    taken = join(others)
    at = 0
    for start, end in join(intervals):
        while at and taken[at - 1][1] > start:
            at -= 1
        while at < len(taken) and taken[at][0] < end:
            if taken[at][0] > start:
                left.append((start, taken[at][0]))
            start = max(start, taken[at][1])
            at += 1
        if start < end:
            left.append((start, end))
    return left
