"""What one consumer group has done with one queue: which offsets are ready, in flight or settled.

    floor                     next                      end of the queue
      |  settled, in flight,   |   never delivered        |
      |  or returned           |                          |

Below `floor` everything is settled. Between `floor` and `next` an offset is settled (one of the
intervals), returned (waiting to be delivered again, at its own place), or else in flight; who has
it, the member itself remembers. Every operation is O(1), or O(log n) for returned offsets,
whatever the order in which offsets are settled.

Somebody choosy takes offsets ahead of `next`: those are skips, which `next` jumps over when it gets
there. What returns of them waits among the returned ones. (So `floor` may be ahead of `next`, by
what is a skip.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from core.intervals import Intervals, OrderedIntervals, join, subtract

_STALE_COUNT_MAX = 64  # Offsets that are kept in the heap for nothing.


class Window:
    """The state of one group on one queue; knows offsets only, no messages."""

    __slots__ = (
        "_ahead_end",
        "_returned_heap",
        "_skips",
        "delivery_counts",
        "floor",
        "in_flight_count",
        "next_offset",
        "redelivered_below",
        "returned",
        "rewind_count",
        "settled",
    )

    def __init__(self, floor: int = 0) -> None:
        self.floor = floor
        self.next_offset = floor
        self.settled = Intervals()
        self.in_flight_count = 0
        self.delivery_counts: dict[int, int] = {}
        self.redelivered_below = floor  # Below it, all was delivered before a restart.
        # Waits to be delivered again: a set, as a dict, which is small while it is empty. Not to be
        # changed by others.
        self.returned: dict[int, None] = {}
        self._returned_heap: list[int] = []  # The same, and others that were taken since.
        self._skips: OrderedIntervals | None = None  # From `next` on, what is not ready there.
        self.rewind_count = 0  # Whoever has looked ahead has to begin again after each.
        self._ahead_end = floor  # Behind it, nothing was taken ahead.

    def restore(self, settled: list[tuple[int, int]], delivered_below: int) -> None:
        """Begin after a restart: what was in flight is ready again, at its own place."""
        for start, end in settled:
            self.settle(start, end)
        self.in_flight_count = 0
        self.next_offset = self.floor
        self.redelivered_below = delivered_below
        self._skips = OrderedIntervals(self.settled.in_order()) if self.settled else None

    def begin_run(self) -> int:
        """The next offset to deliver, behind what was settled before a restart, or taken ahead."""
        skips = self._skips
        if skips is not None:  # Mostly there is none, and this is asked for every run.
            while skips and skips.first_start <= self.next_offset:
                self.next_offset = max(self.next_offset, skips.pop_first())
            if not skips:
                self._skips = None
        return self.next_offset

    def skip_to(self, offset: int) -> None:
        """Nothing is held below `offset`: what `next` jumps over is settled."""
        if offset > self.next_offset:
            self._settle(self.next_offset, offset)
            self.next_offset = offset

    @property
    def lowest_returned(self) -> int:
        """The offset that `take_returned` would give; there must be one."""
        heap = self._returned_heap
        while heap[0] not in self.returned:
            heappop(heap)
        return heap[0]

    def is_return_next(self) -> bool:
        """Does a returned offset come before all those that `take` would give?"""
        return bool(self.returned) and self.lowest_returned < self.begin_run()

    @property
    def delivered_end(self) -> int:
        """Behind it, nothing was ever delivered; a restart takes all below it as redelivered."""
        return max(self.next_offset, self.redelivered_below, self._ahead_end)

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
        if self._skips is not None:
            count = min(count, self._skips.first_start - next_offset)
        if next_offset < self.redelivered_below:
            count = min(count, self.redelivered_below - next_offset)
        return count

    def untake(self, count: int) -> None:
        """The last `count` offsets of the last `take` are ready again."""
        self.next_offset -= count
        self.in_flight_count -= count

    def take_returned(self) -> int:
        """The lowest returned offset goes in flight again."""
        offset = self.lowest_returned
        heappop(self._returned_heap)
        del self.returned[offset]
        self.in_flight_count += 1
        return offset

    def ready_from(self, position: int) -> tuple[int, int | None]:
        """The first run, from `position` on, of what `take` would give, whoever comes first.

        Returns where it begins, and where it ends if it does not go on to the end of the queue.
        """
        position = max(position, self.begin_run())
        return (position, None) if self._skips is None else self._skips.hole_at(position)

    def is_returned(self, offset: int) -> bool:
        """Does this offset wait to be delivered again?"""
        return offset in self.returned

    def is_ready(self, offset: int) -> bool:
        """Could this offset, which is held, be taken now?"""
        return offset in self.returned or self.ready_from(offset)[0] == offset

    def take_at(self, offset: int) -> None:
        """One offset that is ready, wherever it is, goes in flight."""
        self.in_flight_count += 1
        if offset in self.returned:
            del self.returned[offset]
        elif offset == self.begin_run():
            self.next_offset += 1
        else:
            if self._skips is None:
                self._skips = OrderedIntervals()
            self._skips.add(offset, offset + 1)
            self._ahead_end = max(self._ahead_end, offset + 1)

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
        self.count_return(offset)
        self.returned[offset] = None
        heappush(self._returned_heap, offset)
        if len(self._returned_heap) > 2 * len(self.returned) + _STALE_COUNT_MAX:
            self._returned_heap = sorted(self.returned)

    def count_return(self, offset: int) -> None:
        """An offset in flight was delivered once more than before, and stays in flight."""
        self.delivery_counts[offset] = self.delivery_counts.get(offset, 0) + 1

    def is_redelivered(self, offset: int) -> bool:
        """Was this offset, in flight now, delivered before?"""
        return offset < self.redelivered_below or offset in self.delivery_counts

    def purge(self, end: int) -> list[tuple[int, int]]:
        """Settle everything that is ready, up to `end`; what is in flight stays so.

        Returns the settled intervals.
        """
        intervals = [(offset, offset + 1) for offset in self.returned]
        self.returned.clear()
        self._returned_heap.clear()
        self.in_flight_count += len(intervals)
        while (start := self.begin_run()) < end:
            intervals.append((start, start + self.take(end - start)))
        for start, stop in intervals:
            self.settle(start, stop)
        return intervals

    def in_flight(self) -> list[tuple[int, int]]:
        """The offsets in flight, as intervals, lowest first."""
        floor = self.floor
        ahead = self._skips.in_order() if self._skips is not None else []
        passed = [(floor, self.next_offset), *ahead]
        done = [*self.settled.in_order(), *((each, each + 1) for each in self.returned)]
        return subtract(((max(start, floor), end) for start, end in passed), done)

    def rewind(self, start: int, gaps: Iterable[tuple[int, int]]) -> None:
        """All from `start` on that is not in flight is ready, in order; also what was settled.

        But for `gaps`, in which nothing is held. What was ever delivered counts as redelivered.
        """
        self.rewind_count += 1
        in_flight = self.in_flight()
        settled = [(first, min(end, start)) for first, end in self.settled.items() if first < start]
        self.redelivered_below = self.delivered_end
        self.next_offset = min(self.next_offset, start)
        self.returned = {offset: None for offset in self.returned if offset < start}
        self._returned_heap = sorted(self.returned)
        self.floor = min(self.floor, start)
        self.settled = Intervals()
        gone = join([*settled, *gaps])
        for first, end in gone:
            self._settle(first, end)
        skipped = [*gone, *in_flight, *((each, each + 1) for each in self.returned)]
        self._skips = OrderedIntervals(
            join((max(first, self.next_offset), end) for first, end in skipped)
        )

    def settled_in(self, intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The part of these intervals that is settled."""
        return subtract(intervals, subtract(intervals, [(0, self.floor), *self.settled.items()]))

    def _settle(self, start: int, end: int) -> None:
        if start == self.floor:
            following = self.settled.pop_at(end)
            self.floor = end if following is None else following
        else:
            self.settled.add(start, end)
