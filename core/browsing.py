"""Looking at what a queue holds for its group: what is ready, and what is in flight.

Nothing changes by it: no message counts as delivered, and nobody waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from core.lanes import AnyQueue, level_of, offset_of_lane
from core.light_queue import LightQueue
from core.offset_set import OffsetSet

_READ_COUNT = 256


class Browsed(NamedTuple):
    """One message, where it is, and when it was stored."""

    offset: int
    message: Any
    in_flight: bool
    stored_ms: int


def browse(queue: AnyQueue, offset: int) -> Iterator[Browsed]:
    """The messages from `offset` on, lowest offset first, read as they are asked for.

    To be asked for within one turn.
    """
    for level in sorted(queue.lanes):
        base = offset_of_lane(level)
        if level >= level_of(offset):
            for found in _browse_lane(queue.lanes[level], max(0, offset - base)):
                at = base + found.offset
                # What stands in line to be delivered again is in flight for its lane only.
                in_flight = found.in_flight and not queue.is_returned(at)
                yield found._replace(offset=at, in_flight=in_flight)


def _browse_lane(light: LightQueue, position: int) -> Iterator[Browsed]:
    """All of one light queue, from a position on."""
    settled = light.window.settled or OffsetSet()
    in_flight = light.window.in_flight()
    position = max(position, light.window.floor)
    while position < light.max_offset:
        position = settled.hole_from(position)
        entries = light.read(position, _READ_COUNT)
        if not entries:
            break
        for offset, message in entries:
            if not settled.holds(offset):
                stored_ms = light.location(offset)[1]
                yield Browsed(offset, message, in_flight.holds(offset), stored_ms)
        position = entries[-1][0] + 1
