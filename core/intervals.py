"""A set of integers that grows by intervals, in any order, and merges neighbours in O(1)."""

from __future__ import annotations


class Intervals(dict[int, int]):
    """Disjoint, never touching half-open intervals: start -> end, and found by the end as well.

    What is added must not overlap what is there: an offset is settled once.
    """

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
