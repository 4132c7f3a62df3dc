"""What one consumer group has done with one queue: which offsets are ready, in flight or settled.

    floor                     next                      end of the queue
      |  settled, in flight,   |   never delivered        |
      |  or returned           |                          |

Below `floor` everything is settled. Between `floor` and `next` an offset is settled (one of the
intervals), returned (waiting to be delivered again, at its own place), or else in flight; who has
it, the member itself remembers. Every operation is O(1), or O(log n) for returned offsets,
whatever the order in which offsets are settled.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from core.intervals import Intervals


class Window:
    """The state of one group on one queue; knows offsets only, no messages."""

    __slots__ = (
        "_returned",
        "_skips",
        "delivery_counts",
        "floor",
        "in_flight_count",
        "next_offset",
        "redelivered_below",
        "settled",
    )

    def __init__(self, floor: int = 0) -> None:
        self.floor = floor
        self.next_offset = floor
        self.settled = Intervals()
        self.in_flight_count = 0
        self.delivery_counts: dict[int, int] = {}
        self.redelivered_below = floor  # Below it, all was delivered before a restart.
        self._returned: list[int] = []
        self._skips: deque[tuple[int, int]] = deque()

    @property
    def returned_count(self) -> int:
        """How many offsets wait to be delivered again."""
        return len(self._returned)

    def restore(self, settled: list[tuple[int, int]], delivered_below: int) -> None:
        """Begin after a restart: what was in flight is ready again, at its own place."""
        for start, end in settled:
            self.settle(start, end)
        self.in_flight_count = 0
        self.next_offset = self.floor
        self.redelivered_below = delivered_below
        self._skips = deque(self.settled.in_order())

    def begin_run(self) -> int:
        """The next offset to deliver, behind what was settled before a restart."""
        skips = self._skips
        while skips and skips[0][0] <= self.next_offset:
            self.next_offset = max(self.next_offset, skips.popleft()[1])
        return self.next_offset

    def skip_to(self, offset: int) -> None:
        """Nothing is held below `offset`: what `next` jumps over is settled."""
        if offset > self.next_offset:
            self._settle(self.next_offset, offset)
            self.next_offset = offset

    @property
    def lowest_returned(self) -> int:
        """The offset that `take_returned` would give; there must be one."""
        return self._returned[0]

    def take(self, count: int) -> int:
        """At most `count` offsets from `next` on leave ready as one run; returns how many."""
        count = self.ahead(count)
        self.next_offset += count
        self.in_flight_count += count
        return count

    def ahead(self, count: int) -> int:
        """How many of `count` offsets `take` would give.

        A run ends where a settled interval begins, or where redelivery ends.
        """
        next_offset = self.next_offset
        if self._skips:
            count = min(count, self._skips[0][0] - next_offset)
        if next_offset < self.redelivered_below:
            count = min(count, self.redelivered_below - next_offset)
        return count

    def untake(self, count: int) -> None:
        """The last `count` offsets of the last `take` are ready again."""
        self.next_offset -= count
        self.in_flight_count -= count

    def take_returned(self) -> int:
        """The lowest returned offset goes in flight again."""
        self.in_flight_count += 1
        return heappop(self._returned)

    def settle(self, start: int, end: int) -> None:
        """Offsets in flight are done with."""
        self.in_flight_count -= end - start
        if self.delivery_counts:
            for offset in range(start, end):
                self.delivery_counts.pop(offset, None)
        if start == self.floor and not self.settled:
            self.floor = end
        else:
            self._settle(start, end)

    def release(self, offset: int) -> None:
        """An offset in flight goes back to its place, to be delivered again."""
        self.in_flight_count -= 1
        self.delivery_counts[offset] = self.delivery_counts.get(offset, 0) + 1
        heappush(self._returned, offset)

    def is_redelivered(self, offset: int) -> bool:
        """Was this offset, in flight now, delivered before?"""
        return offset < self.redelivered_below or offset in self.delivery_counts

    def purge(self, end: int) -> list[tuple[int, int]]:
        """Settle everything that is ready, up to `end`; what is in flight stays so.

        Returns the settled intervals.
        """
        intervals = [(offset, offset + 1) for offset in self._returned]
        self._returned.clear()
        self.in_flight_count += len(intervals)
        while (start := self.begin_run()) < end:
            intervals.append((start, start + self.take(end - start)))
        for start, stop in intervals:
            self.settle(start, stop)
        return intervals

    def _settle(self, start: int, end: int) -> None:
        if start == self.floor:
            following = self.settled.pop_at(end)
            self.floor = end if following is None else following
        else:
            self.settled.add(start, end)
