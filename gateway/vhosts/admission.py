"""Which messages of a batch the queues take that may refuse some: decided before it is appended.

The messages are asked for in their order, as if each was appended before the next; what is taken
can then be one append. A message that a queue refuses still goes to its other queues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from core.broker import Broker
from core.light_queue import LightQueue
from core.route import Route
from gateway.messages import Item, Message
from gateway.queues.queue import Queue
from gateway.queues.room import Room


class Admission:
    """That of one batch. `refused` are the positions of what not all queues took.

    What is to be published later as well is asked for as far as it goes somewhere now.
    """

    def __init__(
        self, broker: Broker, queue_of: Mapping[LightQueue, Queue], items: Sequence[Item]
    ) -> None:
        self._broker = broker
        self._queue_of = queue_of
        self._rooms: dict[Queue, Room] = {}
        self.asked = list(items)  # Dead letters of what is refused follow.
        self._admitted: list[Item] = []
        self.refused: list[int] = []
        # A dead letter may be refused in its turn, and another one be made of it.
        for position, (route, message, stored) in enumerate(self.asked):
            at_once = route.at_once
            admitting = self._admit(at_once, message)
            if admitting is not at_once and position < len(items):
                self.refused.append(position)
            self._admitted.append((admitting, message, stored))

    def batches(self) -> Iterator[list[Item]]:
        """What is to be appended: all at once, if dead letters are in the language of the rest."""
        for _, run in groupby(self._admitted, lambda item: item[1][1].language.number):
            yield list(run)

    def _admit(self, route: Route, message: Message) -> Route:
        """The route to those of the queues that take the message."""
        if not route.guarded:
            return route
        admitting = [light for light in route.queues if self._takes(light, message)]
        if len(admitting) == len(route.queues):
            return route
        return self._broker.route(admitting, route.depends_on)

    def _takes(self, light: LightQueue, message: Message) -> bool:
        if not light.guarded:
            return True
        queue = self._queue_of[light]
        room = self._rooms.get(queue)
        if room is None:
            room = self._rooms[queue] = queue.room()
        if room.takes(message):
            return True
        self.asked += queue.refuse(message)
        return False
