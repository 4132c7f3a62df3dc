"""From the queues that a message goes to, to a route of the core; and back, from a light queue.

In a queue with priorities, the message's own decides which lane it takes. So every message may have
another route, but there are few of them: they are remembered, and equal ones are the same object,
by which the core knows that messages go together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.broker import Broker
from core.lanes import Lanes
from core.light_queue import LightQueue
from core.route import DependsOn, Route
from gateway.messages import Header

if TYPE_CHECKING:
    from gateway.queues.queue import Queue

_REMEMBERED_MAX = 4096


class RouteTable:
    """The routes of one virtual host. What it remembers is good until `forget`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.queues: dict[LightQueue, Queue] = {}  # By each of their lanes; taps are not here.
        self._known: dict[tuple[DependsOn, tuple[LightQueue, ...]], Route] = {}

    def add(self, queue: Queue) -> None:
        """A queue is there."""
        for lane in queue.light.lanes.values():
            self.queues[lane] = queue

    def remove(self, queue: Queue) -> None:
        """A queue is gone."""
        for lane in queue.light.lanes.values():
            self.queues.pop(lane, None)
        self.forget()

    def forget(self) -> None:
        """Something about the queues has changed."""
        self._known.clear()

    def route(self, queues: Iterable[Queue], depends_on: DependsOn, header: Header | None) -> Route:
        """The route of a message to these queues. Raises `OSError` if the disk refuses."""
        lights: list[LightQueue] = []
        for queue in queues:
            light = queue.light
            if isinstance(light, Lanes):
                depends_on = max(depends_on, DependsOn.HEADER)
                light = light.lane(queue.level(header.priority if header is not None else 0))
                self.queues[light] = queue
            lights.append(light)
        if not depends_on:
            return self._broker.route(lights)
        key = (depends_on, tuple(lights))
        route = self._known.get(key)
        if route is None or route.guarded is not any(light.guarded for light in lights):
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            route = self._known[key] = self._broker.route(lights, depends_on)
        return route
