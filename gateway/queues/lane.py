"""One lane of a queue, as those see it who count each lane for itself: RocketMQ's queue ids.

A queue without priorities is all lane 0. Offsets are the lane's own, from 0 on, with no gaps for
what came to other lanes; so whoever remembers one offset for each lane misses nothing.

A lane that nothing came to yet is empty, and not there: only a group that wants to be kept what
comes makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core.cursor import Cursor
from core.errors import OffsetOutOfRangeError
from core.lanes import AnyQueue, Lanes, level_of, offset_in_lane, offset_of_lane
from core.light_queue import LightQueue
from gateway.messages import Message
from gateway.queues.consumer import Delivery
from gateway.queues.queue import Queue


class Location(NamedTuple):
    """Where a message is stored, and since when."""

    log_offset: int
    store_timestamp_ms: int


def lane_count(light: AnyQueue) -> int:
    """How many lanes a queue has, used or not."""
    return light.level_max + 1 if isinstance(light, Lanes) else 1


@dataclass(frozen=True, slots=True)
class Lane:
    """See the module's docstring. Two of the same queue and level are equal."""

    queue: Queue
    level: int = 0

    @classmethod
    def all_of(cls, queue: Queue) -> list[Lane]:
        """The lanes of a queue, the highest first."""
        return [cls(queue, level) for level in reversed(range(lane_count(queue.light)))]

    @classmethod
    def find(cls, queue: Queue, offset: int) -> tuple[Lane, int]:
        """Whose an offset of the queue is, and what it is there."""
        return cls(queue, level_of(offset)), offset_in_lane(offset)

    @property
    def is_only(self) -> bool:
        """Has the queue no other lanes?"""
        return lane_count(self.queue.light) == 1

    # Reading, without taking anything

    @property
    def min_offset(self) -> int:
        """The offset of the oldest message that is still held."""
        light = self._light
        return 0 if light is None else light.min_offset

    @property
    def max_offset(self) -> int:
        """The offset that the next message gets."""
        light = self._light
        return 0 if light is None else light.max_offset

    def read(self, offset: int, count: int) -> list[tuple[int, Message]]:
        """Messages from `offset` on, with their offsets; nothing changes."""
        light = self._light
        return [] if light is None else light.read(offset, count)

    def location(self, offset: int) -> Location:
        """Where a held message is. Raises `OffsetOutOfRangeError`."""
        light = self._light
        if light is None:
            raise OffsetOutOfRangeError(f"offset {offset} is in a lane that was never used")
        return Location(*light.location(offset))

    def search_timestamp(self, timestamp_ms: int) -> int:
        """The offset of the first message stored at that time or later."""
        light = self._light
        return 0 if light is None else light.search_timestamp(timestamp_ms)

    def group_offset(self, group: str) -> int | None:
        """How far another group has come; None if it never said."""
        light = self._light
        return None if light is None else light.group_offsets.get(group)

    def commit_group_offset(self, group: str, offset: int) -> None:
        """Another group has come so far; what comes after is kept for it."""
        light = self.queue.light
        lane = light.lane(self.level) if isinstance(light, Lanes) else light
        self.queue.virtual_host.commit_group_offset(lane, group, offset)

    # As the queue's own group

    def take(self, count: int) -> list[Delivery]:
        """At most `count` ready messages of this lane, in flight from now on."""
        queue = self.queue
        if self.is_only:
            return queue.take(count)
        if not queue.begin_take():
            return []
        cursor = Cursor(queue.light, self.level, count)
        deliveries: list[Delivery] = []
        while len(deliveries) < count and (entry := cursor.look()) is not None:
            offset, message = entry
            if queue.is_deliverable(offset, message):
                times = queue.light.delivery_count(offset)
                redelivered = queue.take_at(offset, message)
                deliveries.append(Delivery(offset, redelivered, message, times))
        return deliveries

    def settle(self, start: int, end: int) -> None:
        """Messages in flight, `start` up to not including `end`, are acknowledged."""
        base = offset_of_lane(self.level)
        self.queue.settle(base + start, base + end)

    def release(self, offsets: Sequence[int]) -> None:
        """Messages in flight go back to their places, to be delivered again."""
        base = offset_of_lane(self.level)
        self.queue.release([base + offset for offset in offsets])

    # The rest is private

    @property
    def _light(self) -> LightQueue | None:
        return self.queue.light.lanes.get(self.level)
