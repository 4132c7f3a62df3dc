"""All routes: one object for each set of queues, and one number in the log for its durable ones.

Recovery and rewinding read numbers from records. That of one durable queue says its id; others are
documents of the metadata. When a queue is deleted, its routes are let go: a document at once if all
its durable queues are gone; else when no record with its number is left, for it tells which
messages the others had: that is, when nobody has kept the route and all that the log had by then is
reclaimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from weakref import ref

from core.light_queue import LightQueue
from core.metadata import Metadata
from core.route import OF_ONE, DependsOn, Route

_KIND = "route"
_Key: TypeAlias = "tuple[tuple[LightQueue, ...], DependsOn]"


@dataclass(slots=True)
class _Leaving:
    """A number that no new route gets; behind `log_end`, once it is known, no record bears it."""

    kept: list[ref[Route]] = field(default_factory=list)
    log_end: int | None = None


class Routes:
    """Finds routes; `new_id` reserves a number."""

    def __init__(self, metadata: Metadata, new_id: Callable[[], int]) -> None:
        self._metadata = metadata
        self._new_id = new_id
        self._routes: dict[_Key, Route] = {}
        self._keys_of: dict[LightQueue, dict[_Key, None]] = {}
        self._numbers: dict[tuple[int, ...], int] = {}  # By the ids of the durable queues.
        self._numbers_of: dict[int, dict[int, None]] = {}  # By the id of each of them.
        self._queue_ids: dict[int, tuple[int, ...]] = {}  # By number, of those with a document.
        self._leaving: dict[int, _Leaving] = {}  # Numbers that lost a queue, not all.
        # Routes that lost a queue which has no part in their number; somebody may have kept them.
        self._orphans: dict[int, list[ref[Route]]] = {}

    def load(self) -> None:
        """Bring back the numbers; those that lost a queue are in old records only."""
        for key, ids in list(self._metadata.items(_KIND).items()):
            self._add(int(key), tuple(ids))
            if any(not self._is_alive(id) for id in ids):
                self._leave(int(key), [])

    def queue_ids(self, number: int) -> tuple[int, ...]:
        """The durable queues of a route, as far as it is known; some may be deleted."""
        if number & OF_ONE:
            return (number ^ OF_ONE,)
        return self._queue_ids.get(number, ())

    def find(self, queues: Sequence[LightQueue], depends_on: DependsOn = DependsOn.KEY) -> Route:
        """The route to these queues; written down if a durable one is among them."""
        key = (tuple(queues), depends_on)
        route = self._routes.get(key)
        if route is None:
            route = Route(key[0], self._number(key[0]), depends_on)
            self._routes[key] = route
            for queue in queues:
                self._keys_of.setdefault(queue, {})[key] = None
        return route

    def lead_to(self, queue: LightQueue) -> bool:
        """Is there a route to this queue?"""
        return queue in self._keys_of

    def forget(self, queue: LightQueue) -> None:
        """A queue is deleted, and so are the routes to it."""
        kept: dict[int, list[ref[Route]]] = {}
        for key in self._keys_of.pop(queue, ()):
            route = self._routes.pop(key)
            kept.setdefault(route.id, []).append(ref(route))
            for other in key[0]:
                if other is not queue and (keys := self._keys_of.get(other)) is not None:
                    keys.pop(key, None)
        if not queue.durable:
            self._orphan(kept)
            return
        for number in list(self._numbers_of.get(queue.id, ())):
            self._leave(number, kept.get(number, []) + self._orphans.pop(number, []))

    def expire(self, log_start: int, log_end: int) -> None:
        """Let the numbers go that no record of the log, which is from here to there, bears."""
        for number, leaving in list(self._leaving.items()):
            if leaving.log_end is None and all(route() is None for route in leaving.kept):
                leaving.log_end = log_end
            if leaving.log_end is not None and leaving.log_end <= log_start:
                del self._leaving[number]
                self._delete(number)

    def _number(self, queues: Sequence[LightQueue]) -> int:
        ids = tuple(queue.id for queue in queues if queue.durable)
        if not ids:
            return 0
        if len(ids) == 1 and ids[0] < OF_ONE:
            return OF_ONE | ids[0]
        number = self._numbers.get(ids, 0)
        if not number:
            number = self._new_id()
            self._metadata.put(_KIND, str(number), list(ids))
            self._add(number, ids)
        return number

    def _add(self, number: int, ids: tuple[int, ...]) -> None:
        self._numbers[ids] = number
        self._queue_ids[number] = ids
        for id in ids:
            self._numbers_of.setdefault(id, {})[number] = None

    def _orphan(self, kept: Mapping[int, list[ref[Route]]]) -> None:
        """Remember who bears these numbers, which other routes have, too."""
        for number, routes in kept.items():
            if number and not number & OF_ONE:
                known = [each for each in self._orphans.get(number, ()) if each() is not None]
                self._orphans[number] = known + [each for each in routes if each() is not None]
                if not self._orphans[number]:
                    del self._orphans[number]

    def _leave(self, number: int, kept: list[ref[Route]]) -> None:
        ids = self._queue_ids[number]
        if self._numbers.get(ids) == number:
            del self._numbers[ids]
        if any(self._is_alive(id) for id in ids):
            self._leaving.setdefault(number, _Leaving()).kept.extend(kept)
        else:
            self._leaving.pop(number, None)
            self._delete(number)

    def _delete(self, number: int) -> None:
        self._metadata.delete(_KIND, str(number))
        for id in self._queue_ids.pop(number):
            numbers = self._numbers_of[id]
            del numbers[number]
            if not numbers:
                del self._numbers_of[id]

    def _is_alive(self, id: int) -> bool:
        key, items = str(id), self._metadata.items
        return key in items("queue") or key in items("lane")
