"""Groups of another name than the queue's: they read along, and take nothing from anyone."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence

from gateway.queues.lane import Lane

from .filters import MessageFilter
from .groups import ATTEMPTS_MAX
from .progress import SCAN_COUNT_MAX, Taken

# So many settled offsets above the lowest that is not are kept at least before they are dropped.
_SETTLED_MAX = 1024


# Makes a dead letter of a message of a lane, which a group had so often, and settles it when that
# is safe; says whether it does.
Bury = Callable[[Lane, str, int, int], bool]


class GroupWindow:
    """A group's pops of one lane: what is in flight, what came back, what comes next.

    The committed offset is the lowest that is not settled, so after a restart nothing is lost and
    only what was not acknowledged, or above it, is delivered again.
    """

    def __init__(self, lane: Lane, group: str, start: int, in_flight_max: int, bury: Bury) -> None:
        self.lane = lane
        self._bury = bury
        self._group = group
        self._next = start
        self._committed = start
        self._in_flight_max = in_flight_max
        self._times: dict[int, int] = {}  # All that is in flight or returned: deliveries before.
        self._lowest: list[int] = []  # A heap of the same offsets, and of settled ones.
        self._returned: list[int] = []  # A heap.
        self._watchers: dict[Callable[[], None], None] = {}

    @property
    def remembered_count(self) -> int:
        """How many offsets are kept in mind, in flight or not."""
        return len(self._lowest)

    @property
    def has_next(self) -> bool:
        """Is there something new to look at, and room for it?"""
        return self._next < self.lane.max_offset and len(self._times) < self._in_flight_max

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """What came back first, then what comes next."""
        taken = self._take_returned(count)
        self._next = min(self._next, self.lane.max_offset)  # What was committed may lie beyond.
        scanned = 0
        while len(taken) < count and scanned < SCAN_COUNT_MAX and self.has_next:
            entries = self.lane.read(self._next, count - len(taken))
            if not entries:
                self._next = self.lane.max_offset
            for offset, message in entries:
                scanned += 1
                self._next = offset + 1
                if message_filter.matches(message):
                    taken.append(Taken(self.lane, offset, message, 0))
                    self._times[offset] = 0
                    heapq.heappush(self._lowest, offset)
        self._commit()
        return taken

    def settle(self, offsets: Collection[int]) -> None:
        """Done: the committed offset moves when the lowest are."""
        for offset in offsets:
            self._times.pop(offset, None)
        self._commit()

    def release(self, offsets: Collection[int]) -> None:
        """Deliver these again, before anything new; what came back too often dies."""
        for offset in offsets:
            if offset not in self._times:
                continue
            self._times[offset] += 1
            times = self._times[offset]
            if times <= ATTEMPTS_MAX or not self._bury(self.lane, self._group, offset, times):
                heapq.heappush(self._returned, offset)
        watchers, self._watchers = self._watchers, {}
        for stir in watchers:
            stir()

    def watch_returns(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Call `stir` once something has come back; return what ends that."""
        self._watchers[stir] = None

        def cancel() -> None:
            self._watchers.pop(stir, None)

        return cancel

    def reset(self, offset: int) -> None:
        """Go on from `offset`, wherever the group was."""
        self._times.clear()
        self._lowest.clear()
        self._returned.clear()
        self._next = self._committed = offset

    def _take_returned(self, count: int) -> list[Taken]:
        taken: list[Taken] = []
        while self._returned and len(taken) < count:
            offset = heapq.heappop(self._returned)
            found = self.lane.read(offset, 1)
            if offset not in self._times:
                continue
            if found and found[0][0] == offset:
                taken.append(Taken(self.lane, offset, found[0][1], self._times[offset]))
            else:
                del self._times[offset]  # The lane no longer has it.
        return taken

    def _commit(self) -> None:
        while self._lowest and self._lowest[0] not in self._times:
            heapq.heappop(self._lowest)
        if len(self._lowest) > 2 * len(self._times) + _SETTLED_MAX:
            self._lowest = sorted(self._times)  # A sorted list is a heap.
        floor = self._lowest[0] if self._lowest else self._next
        if floor != self._committed:
            self._committed = floor
            self.lane.commit_group_offset(self._group, floor)


class GroupWindows:
    """A group at one lane of a queue, or at several, the highest first."""

    def __init__(self, windows: Sequence[GroupWindow]) -> None:
        self._windows = windows

    @property
    def has_more(self) -> bool:
        """Is there more to look at than the last `take` did?"""
        return any(window.has_next for window in self._windows)

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """What a higher lane has comes before what a lower one has."""
        taken: list[Taken] = []
        for window in self._windows:
            if len(taken) == count:
                break
            taken += window.take(count - len(taken), message_filter)
        return taken

    def watch(self, count: int, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait for an append, or for something to come back."""
        cancels = [window.watch_returns(stir) for window in self._windows]
        cancels.append(self._windows[0].lane.queue.watch(stir))

        def cancel() -> None:
            for each in cancels:
                each()

        return cancel

    def give_back(self) -> None:
        """Nothing is in flight by watching."""
