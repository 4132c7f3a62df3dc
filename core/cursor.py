"""How far somebody choosy has looked through what is ready in a queue.

Every ready message is looked at once, in the order in which `take` would give them, and once more
whenever it comes back. Looking changes nothing: what is wanted is taken by `take_at`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Any

from core.lanes import AnyQueue, level_of, offset_in_lane, offset_of_lane
from core.light_queue import LightQueue

_READ_COUNT = 32


class Cursor:
    """One looker at one queue, or only at the lane of a `level`.

    Messages are read `read_count` at a time: whoever looks at one only need not read more.
    """

    def __init__(
        self, queue: AnyQueue, level: int | None = None, read_count: int = _READ_COUNT
    ) -> None:
        self._queue = queue
        self._level = level
        self._read_count = read_count
        self._lanes: dict[int, _LaneCursor] = {}

    def look(self) -> tuple[int, Any] | None:
        """The next ready message that was not looked at; None if there is none."""
        for level in self._levels():
            entry = self._lane(level).look()
            if entry is not None:
                return offset_of_lane(level) + entry[0], entry[1]
        return None

    def returned(self, offsets: Iterable[int]) -> None:
        """Messages are ready again."""
        for offset in offsets:
            if self._level is None or level_of(offset) == self._level:
                self._lane(level_of(offset)).returned(offset_in_lane(offset))

    def forget(self) -> None:
        """Keep no message in memory: it may be long until the next look."""
        for lane in self._lanes.values():
            lane.forget()

    def _levels(self) -> list[int]:
        lanes = self._queue.lanes
        if self._level is None:
            return sorted(lanes, reverse=True)
        return [self._level] if self._level in lanes else []

    def _lane(self, level: int) -> _LaneCursor:
        lane = self._lanes.get(level)
        if lane is None:
            lane = self._lanes[level] = _LaneCursor(self._queue, level, self._read_count)
        return lane


class _LaneCursor:
    """The same, of one light queue."""

    def __init__(self, queue: AnyQueue, level: int, read_count: int) -> None:
        self._queue = queue
        self._level = level
        self._read_count = read_count
        self._base = offset_of_lane(level)
        self._light: LightQueue = queue.lanes[level]
        self._read: deque[tuple[int, Any]] = deque()  # From the position on.
        self._begin()

    def _begin(self) -> None:
        window = self._light.window
        self._read.clear()
        self._position = 0  # All below it was looked at, but for
        self._returned = [  # this heap of what came back.
            offset_in_lane(offset)
            for offset in self._queue.returned_offsets()
            if level_of(offset) == self._level
        ]
        self._rewind_count = window.rewind_count

    def look(self) -> tuple[int, Any] | None:
        """See `Cursor`."""
        if self._light.window.rewind_count != self._rewind_count:
            self._begin()
        while True:
            if self._returned and self._returned[0] < self._position:
                entry = self._look_again(heappop(self._returned))
                if entry is not None:
                    return entry
                continue
            self._read_on()
            if self._returned and (not self._read or self._returned[0] < self._read[0][0]):
                # Whoever had it took it out of the middle; what is read comes after it.
                self._position = self._returned[0] + 1
                continue
            if not self._read:
                return None
            offset, message = self._read.popleft()
            self._position = offset + 1
            return offset, message

    def returned(self, offset: int) -> None:
        """See `Cursor`."""
        heappush(self._returned, offset)

    def forget(self) -> None:
        """See `Cursor`."""
        self._read.clear()

    def _look_again(self, offset: int) -> tuple[int, Any] | None:
        """A message that came back, if it is still there."""
        if not self._queue.is_returned(self._base + offset):
            return None
        found = self._light.read(offset, 1)
        return found[0] if found and found[0][0] == offset else None

    def _read_on(self) -> None:
        light = self._light
        while not self._read and self._position < light.max_offset:
            entries, following = light.ready_from(self._position, self._read_count)
            self._read.extend(entries)
            if not entries:
                self._position = following
