"""A queue in lanes: a light queue per level, of which the highest that holds anything is served.

Whoever appends chooses the lane: a route names the lane's light queue, so the log, the journals and
recovery know only light queues. For whoever reads, settles or counts this is one queue with a light
queue's verbs; its offsets say the lane:

    | level (16) | offset in the lane's light queue (48) |

So messages of one lane have consecutive offsets, and those of level 0 are the light queue's own.
A level takes nothing until its first message. Within a lane, all is as in a light queue: in order,
and what is returned goes back to its own place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from core.errors import OffsetOutOfRangeError
from core.light_queue import LightQueue
from core.readable_queue import Head, Span
from core.turn import Dispatcher

LEVEL_SHIFT = 48
OFFSET_MASK = (1 << LEVEL_SHIFT) - 1


def level_of(offset: int) -> int:
    """The level of an offset; 0 for those of a queue without lanes."""
    return offset >> LEVEL_SHIFT


def offset_in_lane(offset: int) -> int:
    """What an offset is in the light queue of its lane."""
    return offset & OFFSET_MASK


def offset_of_lane(level: int) -> int:
    """The offset of the first message of a lane."""
    return level << LEVEL_SHIFT


class Lanes:
    """The lanes of one queue; level 0 is the queue's own light queue, and always there.

    `make_lane` declares the light queue of a level.
    """

    def __init__(
        self,
        levels: dict[int, LightQueue],
        level_max: int,
        make_lane: Callable[[int], LightQueue],
    ) -> None:
        self.level_max = level_max
        self._lanes = levels
        self._make_lane = make_lane
        self._in_order: list[tuple[int, LightQueue]] = []  # Highest first, with their offset 0.
        self._sort()

    # What it is

    @property
    def main(self) -> LightQueue:
        """The lane of level 0, which is the queue itself on the disk."""
        return self._lanes[0]

    @property
    def id(self) -> int:
        """The queue's id."""
        return self.main.id

    @property
    def durable(self) -> bool:
        """Does it survive a restart?"""
        return self.main.durable

    @property
    def deleted(self) -> bool:
        """Is it gone?"""
        return self.main.deleted

    @property
    def lanes(self) -> dict[int, LightQueue]:
        """The lanes that there are, by level."""
        return self._lanes

    def lane(self, level: int) -> LightQueue:
        """The lane of a level; the highest one for a level above it.

        One that was never used is made. Raises `OSError` if the disk refuses.
        """
        level = min(max(level, 0), self.level_max)
        lane = self._lanes.get(level)
        if lane is None:
            lane = self._lanes[level] = self._make_lane(level)
            lane.guarded = self.main.guarded
            lane.keeps_all = self.main.keeps_all
            lane.counts_returns = self.main.counts_returns
            lane.dispatcher = self.main.dispatcher
            self._sort()
        return lane

    @property
    def guarded(self) -> bool:
        """Must whoever appends ask the layer above first?"""
        return self.main.guarded

    @guarded.setter
    def guarded(self, guarded: bool) -> None:
        for lane in self._lanes.values():
            lane.guarded = guarded

    @property
    def keeps_all(self) -> bool:
        """Does it keep over a restart what is not persistent, too?"""
        return self.main.keeps_all

    @keeps_all.setter
    def keeps_all(self, keeps_all: bool) -> None:
        for lane in self._lanes.values():
            lane.keeps_all = keeps_all

    @property
    def counts_returns(self) -> bool:
        """Does a restart know how often each message came back?"""
        return self.main.counts_returns

    @counts_returns.setter
    def counts_returns(self, counts_returns: bool) -> None:
        for lane in self._lanes.values():
            lane.counts_returns = counts_returns

    @property
    def dispatcher(self) -> Dispatcher | None:
        """Who hands out what becomes ready."""
        return self.main.dispatcher

    @dispatcher.setter
    def dispatcher(self, dispatcher: Dispatcher | None) -> None:
        for lane in self._lanes.values():
            lane.dispatcher = dispatcher

    # What it holds

    @property
    def ready_count(self) -> int:
        """Messages that wait to be delivered."""
        return sum(lane.ready_count for lane in self._lanes.values())

    @property
    def in_flight_count(self) -> int:
        """Messages that were taken, and neither settled nor released."""
        return sum(lane.in_flight_count for lane in self._lanes.values())

    @property
    def min_offset(self) -> int:
        """The lowest offset of a message that is still held."""
        for base, lane in reversed(self._in_order):
            if lane.min_offset < lane.max_offset:
                return base + lane.min_offset
        return self.max_offset

    @property
    def max_offset(self) -> int:
        """Behind the highest offset of any message."""
        base, lane = self._in_order[0]
        return base + lane.max_offset

    @property
    def appended_count(self) -> int:
        """How many messages it was ever given, about: it grows with each."""
        return sum(lane.max_offset for lane in self._lanes.values())

    def ends(self) -> dict[int, int]:
        """For each level, the offset that its next message gets."""
        return {base >> LEVEL_SHIFT: base + lane.max_offset for base, lane in self._in_order}

    def delivery_count(self, offset: int) -> int:
        """How often a message was delivered before, as far as that is known."""
        return self._lane_of(offset).delivery_count(offset & OFFSET_MASK)

    # What happens to it

    def take(self, count: int) -> list[Span]:
        """At most `count` ready messages go in flight, those of the highest lane first.

        Fewer if they are large. The caller has them settled or released later.
        """
        spans: list[Span] = []
        for base, lane in self._in_order:
            if not lane.ready_count:
                continue
            for start, messages, redelivered in lane.take(count):
                spans.append((base + start, messages, redelivered))
                count -= len(messages)
            if count <= 0 or lane.ready_count:
                break
        return spans

    def take_at(self, offset: int) -> bool:
        """One ready message goes in flight out of its turn; was it delivered before?"""
        return self._lane_of(offset).take_at(offset & OFFSET_MASK)

    def is_returned(self, offset: int) -> bool:
        """Does this message wait to be delivered again?"""
        return self._lane_of(offset).is_returned(offset & OFFSET_MASK)

    def returned_offsets(self) -> list[int]:
        """What waits to be delivered again, lowest first."""
        return [
            base + offset
            for base, lane in reversed(self._in_order)
            for offset in lane.returned_offsets()
        ]

    def is_ready(self, offset: int) -> bool:
        """Could this message, which is held, be taken now?"""
        return self._lane_of(offset).is_ready(offset & OFFSET_MASK)

    def peek(self, count: int) -> Head | None:
        """What `take` would give first, all of one lane; None if nothing is ready."""
        for base, lane in self._in_order:
            if lane.ready_count and (head := lane.peek(count)) is not None:
                return base + head[0], head[1], head[2]
        return None

    def settle(self, start: int, end: int) -> None:
        """Messages in flight, `start` up to not including `end`, are done with: of one lane."""
        first = start & OFFSET_MASK
        self._lane_of(start).settle(first, first + end - start)

    def release(self, offsets: Iterable[int]) -> None:
        """Messages in flight go back to their places, to be delivered again."""
        for offset in offsets:
            self._lane_of(offset).release((offset & OFFSET_MASK,))

    def purge(self) -> int:
        """Drop what is ready; return how many messages that were."""
        return sum(lane.purge() for lane in self._lanes.values())

    # Looking at it

    def read(self, offset: int, count: int) -> list[tuple[int, Any]]:
        """Look at messages from `offset` on, at most `count`, lane after lane; changes nothing."""
        found: list[tuple[int, Any]] = []
        for base, lane in reversed(self._in_order):
            if base + lane.max_offset > offset and len(found) < count:
                start = max(offset - base, 0)
                entries = lane.read(start, count - len(found))
                found += ((base + each, message) for each, message in entries)
        return found

    def location(self, offset: int) -> tuple[int, int]:
        """Where a held message is: its log offset, and its store timestamp in ms.

        Raises `OffsetOutOfRangeError` if no message is held at `offset`.
        """
        lane = self._lanes.get(level_of(offset))
        if lane is None:
            raise OffsetOutOfRangeError(f"offset {offset} is in a lane that was never used")
        return lane.location(offset & OFFSET_MASK)

    # The rest is private

    def _lane_of(self, offset: int) -> LightQueue:
        return self._lanes[offset >> LEVEL_SHIFT]

    def _sort(self) -> None:
        self._in_order = [
            (level << LEVEL_SHIFT, self._lanes[level]) for level in sorted(self._lanes)[::-1]
        ]


# A queue with lanes, or without: then all of it is level 0.
AnyQueue: TypeAlias = "LightQueue | Lanes"
