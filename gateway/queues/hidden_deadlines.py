"""Deadlines that the head of a queue does not show in time.

A message is hidden if one before it lasts longer, or has a lane with a head of its own. For such
ones this remembers when their time is over, in steps of a tenth of a second: 8 bytes each, in one
array per step. A queue whose messages all last as long has none. Work is bounded: new messages are
looked at, and expired ones given out, so many at a time.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from math import inf

from core.lanes import AnyQueue, Lanes, offset_of_lane
from core.light_queue import LightQueue
from gateway.messages import Header

_STEP_MS = 100
_LOOK_COUNT_MAX = 1000
_SPARE_COUNT = 10_000  # So many entries of messages that are gone do no harm.


class HiddenDeadlines:
    """Those of one queue; `time_ms` says how long a message lasts that was stored at a time."""

    def __init__(self, light: AnyQueue, time_ms: Callable[[Header, int], int | None]) -> None:
        self._light = light
        self._time_ms = time_ms
        self._looked_ends: dict[int, int] = {}  # By level: all below was looked at,
        self._latest_ms: dict[int, float] = {}  # and this is the latest deadline of it.
        self._steps: dict[int, array[int]] = {}
        self._order: list[int] = []  # The steps, as a heap.
        self._count = 0

    @property
    def next_ms(self) -> int | None:
        """When the next one is due; None if there are none."""
        return self._order[0] * _STEP_MS if self._order else None

    def look(self) -> bool:
        """Look at what is new, or at some of it: is that all?"""
        left = _LOOK_COUNT_MAX
        for level, lane in self._light.lanes.items():
            left -= self._look_at(level, lane, left)
            if left <= 0:
                return False
        return True

    def returned(self, offsets: Iterable[int]) -> None:
        """Messages were in flight, and are ready again."""
        for offset in offsets:
            for found, message in self._light.read(offset, 1):
                stored_ms = self._light.location(found)[1]
                time_ms = self._time_ms(message[1], stored_ms)
                if found == offset and time_ms is not None:
                    self._add(offset, stored_ms + time_ms)

    def due(self, now_ms: int, count: int) -> list[int]:
        """At most `count` offsets whose time is over; what was there may be gone already."""
        found: list[int] = []
        while self._order and self._order[0] * _STEP_MS <= now_ms and len(found) < count:
            entries = self._steps[self._order[0]]
            taken = entries[: count - len(found)]
            found += taken
            del entries[: len(taken)]
            if not entries:
                del self._steps[heappop(self._order)]
        self._count -= len(found)
        return found

    # The rest is private

    def _look_at(self, level: int, lane: LightQueue, count: int) -> int:
        """Look at about `count` new messages of a lane; return how many that were."""
        base, floor = offset_of_lane(level), lane.window.floor
        position = max(self._looked_ends.get(level, 0), floor)
        if position == floor:  # Nothing that was looked at is held.
            self._latest_ms.pop(level, None)
        looked_count = 0
        for start, messages, stored_ms in lane.heads(position, count):
            for offset, (_, header, _) in enumerate(messages, start):
                self._note(level, base + offset, header, stored_ms)
            looked_count += len(messages)
            position = start + len(messages)
        self._looked_ends[level] = position if looked_count >= count else lane.max_offset
        return looked_count

    def _note(self, level: int, offset: int, header: Header, stored_ms: int) -> None:
        time_ms = self._time_ms(header, stored_ms)
        deadline_ms = inf if time_ms is None else stored_ms + time_ms
        latest_ms = self._latest_ms.get(level, -inf)
        self._latest_ms[level] = max(latest_ms, deadline_ms)
        is_hidden = deadline_ms < latest_ms or isinstance(self._light, Lanes)
        if time_ms is not None and is_hidden:
            self._add(offset, stored_ms + time_ms)

    def _add(self, offset: int, deadline_ms: int) -> None:
        step = -(-deadline_ms // _STEP_MS)
        entries = self._steps.get(step)
        if entries is None:
            entries = self._steps[step] = array("Q")
            heappush(self._order, step)
        entries.append(offset)
        self._count += 1
        if self._count > 2 * self._light.ready_count + _SPARE_COUNT:
            self._forget_gone()

    def _forget_gone(self) -> None:
        """Drop the entries of messages that are not ready any more."""
        is_ready = self._light.is_ready
        kept = {step: array("Q", filter(is_ready, self._steps[step])) for step in self._steps}
        self._steps = {step: entries for step, entries in kept.items() if entries}
        self._order = list(self._steps)
        heapify(self._order)
        self._count = sum(map(len, self._steps.values()))
