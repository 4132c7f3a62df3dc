"""What one consumer group has done with one queue: which offsets are ready, in flight or settled.

    floor                     next                      end of the queue
      |  settled, in flight,   |   never delivered        |
      |  or returned           |                          |

Below `floor` everything is settled. Between `floor` and `next` an offset is settled (one of a set),
returned (waiting to be delivered again, at its own place), or else in flight; who has it, the
member itself remembers. Every operation is O(1), or O(log n) for returned offsets, whatever the
order in which offsets are settled; and it takes some bits each to remember them.

Somebody choosy takes offsets ahead of `next`: those are skips, which `next` jumps over when it gets
there. What returns of them waits among the returned ones. (So `floor` may be ahead of `next`, by
what is a skip.)
"""

from __future__ import annotations

from heapq import heappop, heappush

from core.offset_set import OffsetSet

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
        # Above the floor; none before anything is settled out of order, which is rare.
        self.settled: OffsetSet | None = None
        self.in_flight_count = 0
        self.delivery_counts: dict[int, int] = {}
        self.redelivered_below = floor  # Below it, all was delivered before a restart.
        # Waits to be delivered again: a set, as a dict, which is small while it is empty. Not to be
        # changed by others.
        self.returned: dict[int, None] = {}
        self._returned_heap: list[int] = []  # The same, and others that were taken since.
        self._skips: OffsetSet | None = None  # From `next` on, what is not ready there.
        self.rewind_count = 0  # Whoever has looked ahead has to begin again after each.
        self._ahead_end = floor  # Behind it, nothing was taken ahead.

    def restore(self, settled: OffsetSet, delivered_below: int) -> None:
        """Begin after a restart: what was in flight is ready again, at its own place.

        The set is the window's own from now on; nothing in it is below the floor.
        """
        self.floor = settled.pop_at(self.floor)
        self.next_offset = self.floor
        self.redelivered_below = delivered_below
        if settled:
            self.settled, self._skips = settled, settled.copy()

    def begin_run(self) -> int:
        """The next offset to deliver, behind what was settled before a restart, or taken ahead."""
        skips = self._skips
        if skips is not None:  # Mostly there is none, and this is asked for every run.
            self.next_offset = skips.pop_at(self.next_offset)
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

        A run ends where something settled begins, or where redelivery ends.
        """
        next_offset = self.next_offset
        if self._skips is not None and (skip := self._skips.first_from(next_offset)) is not None:
            count = min(count, skip - next_offset)
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
        if self._skips is None:
            return position, None
        position = self._skips.hole_from(position)
        return position, self._skips.first_from(position)

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
                self._skips = OffsetSet()
            self._skips.add(offset, offset + 1)
            self._ahead_end = max(self._ahead_end, offset + 1)

    def settle(self, start: int, end: int) -> None:
        """Offsets in flight are done with."""
        self.in_flight_count -= end - start
        if self.delivery_counts:
            for offset in range(start, end):
                self.delivery_counts.pop(offset, None)
        if start == self.floor:
            self.floor = self.settled.pop_at(end) if self.settled else end
        elif self.settled is None:
            self.settled = OffsetSet([(start, end)])
        else:
            self.settled.add(start, end)

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

    def purge(self, end: int) -> tuple[int, list[tuple[int, int]]]:
        """Settle everything that is ready, up to `end`; what is in flight stays so.

        Returns how much that is, and intervals that cover it, in which all is settled now.
        """
        ready = OffsetSet()
        if self.begin_run() < end:
            ready.add(self.next_offset, end)
            if self._skips is not None:
                ready.discard_all(self._skips)
                self._skips.discard(0, end)
            self.next_offset = end
            self.begin_run()
        for offset in self.returned:
            ready.add(offset, offset + 1)
        self.returned.clear()
        self._returned_heap.clear()
        if self.delivery_counts:
            counts = self.delivery_counts.items()
            self.delivery_counts = {at: count for at, count in counts if not ready.holds(at)}
        settled = self.settled or OffsetSet()
        settled.add_all(ready)
        self.floor = settled.pop_at(self.floor)
        self.settled = settled or None
        intervals = []
        start = ready.first_from(0)
        while start is not None:
            stop = settled.hole_from(start) if start >= self.floor else self.floor
            intervals.append((start, stop))
            start = ready.first_from(stop)
        return ready.count(), intervals

    def in_flight(self) -> OffsetSet:
        """The offsets in flight."""
        offsets = OffsetSet() if self._skips is None else self._skips.copy()
        offsets.discard(0, self.floor)
        offsets.add(self.floor, self.next_offset)
        if self.settled is not None:
            offsets.discard_all(self.settled)
        for offset in self.returned:
            offsets.discard(offset, offset + 1)
        return offsets

    def rewind(self, start: int, gaps: OffsetSet, passing: OffsetSet) -> None:
        """All from `start` on that is not in flight is ready, in order; also what was settled.

        But for `gaps`, in which nothing is held, and for what is settled of what is `passing`. What
        was ever delivered counts as redelivered.
        """
        self.rewind_count += 1
        in_flight = self.in_flight()
        settled = OffsetSet() if self.settled is None else self.settled
        settled.add(0, self.floor)
        unsettled = passing.copy()
        unsettled.discard_all(settled)
        passing.discard_all(unsettled)
        self.floor = min(self.floor, start)
        settled.discard(0, self.floor)
        settled.discard(start, settled.end)
        settled.add_all(gaps)
        settled.add_all(passing)
        self.redelivered_below = self.delivered_end
        self.next_offset = min(self.next_offset, start)
        self.returned = {offset: None for offset in self.returned if offset < start}
        self._returned_heap = sorted(self.returned)
        skips = settled.copy()
        skips.add_all(in_flight)
        for offset in self.returned:
            skips.add(offset, offset + 1)
        skips.discard(0, self.next_offset)
        self._skips = skips or None
        self.floor = settled.pop_at(self.floor)
        self.settled = settled or None

    def _settle(self, start: int, end: int) -> None:
        if start == self.floor:
            self.floor = self.settled.pop_at(end) if self.settled else end
        else:
            if self.settled is None:
                self.settled = OffsetSet()
            self.settled.add(start, end)
