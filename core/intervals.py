"""A set of integers that grows by intervals, in any order, and merges neighbours in O(1)."""

from __future__ import annotations

from collections.abc import Iterator


class Intervals:
    """Disjoint, never touching half-open intervals, found by either end.

    What is added must not overlap what is there: an offset is settled once.
    """

    def __init__(self) -> None:
        self._end_of: dict[int, int] = {}
        self._start_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._end_of)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(sorted(self._end_of.items()))

    def add(self, start: int, end: int) -> None:
        """Add `start` up to, not including, `end`; joins the intervals that it touches."""
        assert start < end
        before = self._start_of.pop(start, None)
        if before is not None:
            start = before
        after = self._end_of.pop(end, None)
        if after is not None:
            del self._start_of[end]
            end = after
        self._end_of[start] = end
        self._start_of[end] = start

    def pop_at(self, start: int) -> int | None:
        """Remove the interval that begins at `start` and return its end; None if none does."""
        end = self._end_of.pop(start, None)
        if end is not None:
            del self._start_of[end]
        return end

    def clear(self) -> None:
        """Remove everything."""
        self._end_of.clear()
        self._start_of.clear()
