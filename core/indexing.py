"""Which messages are in the indexes of their queues already, and which only in the store.

A queue that somebody waits for gets its messages at once: a single one may go straight to whoever
waits (`LightQueue.hand_over`), so that a read with messages for a hundred queues does not cost a
hundred dispatches; the rest gets index entries. To all other queues they are owed: a batch is
noted as a whole, and brought into the indexes when somebody looks at any of these queues, or when
many messages are owed; then all that goes to one queue is entered together. So publishing to a
thousand queues that nobody reads costs little more than publishing to one.

Invariant: only a queue without a dispatcher is owed anything, and everything that reads such a
queue settles first. `LightQueue` sees to both: its state is private, and each way to it calls
`settle`. Nobody has seen an offset that is owed, so a crash may give it to another message.

This is on the hot path: what is done per message is done by C functions over whole batches.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import is_
from typing import Any, TypeAlias

from core.consume_queue import SINGLES, VOLATILE_BASE
from core.handing import Handing
from core.light_queue import LightQueue
from core.round_robin import Owed, find_turns
from core.route import Route
from core.spilling import Spilling
from core.store import Store
from core.turn import Turn

# A run of equal routes: the route, its first message in the batch, and how many.
Run: TypeAlias = tuple[Route, int, int]

_OWED_COUNT_MAX = 1 << 16  # Messages; entering so many takes about 15 ms.
_GROUPED_COUNT_MIN = 1 << 10  # Fewer are entered one by one.


class Indexing:
    """Gives stored batches to the queues of their routes, now or later."""

    def __init__(self, store: Store, turn: Turn, spilling: Spilling, handing: Handing) -> None:
        self._store = store
        self._turn = turn
        self._handing = handing
        self._spilling = spilling
        self._room = 0  # So many runs may be entered until somebody looks how long the indexes are.
        self._owed: list[Owed] = []
        self._owed_count = 0
        # What is known of the routes since the last change: nobody waits at a quiet one.
        self._quiet: set[Route] = set()
        self._loud: set[Route] = set()
        self._quiet_route: dict[LightQueue, Route] = {}
        self._crossing: set[Route] = set()  # Quiet ones that have a queue in common.
        self._all_single = True  # Does each quiet route lead to one queue?

    def add(
        self, log_offset: int, routes: Sequence[Route], messages: Sequence[Any], is_transient: bool
    ) -> None:
        """A batch was stored; there is a route for each of its messages."""
        if self._are_quiet(routes):
            self._owed.append((log_offset, routes))
            self._owed_count += len(routes)
            if self._owed_count >= _OWED_COUNT_MAX:
                self.settle()
            return
        held_count = 0
        left: Sequence[int] = range(len(routes))
        if self._turn.is_stuck:
            runs_count = _enter(log_offset, _runs(routes))
        else:
            held_count, left = self._handing.hand_over(log_offset, routes, messages, is_transient)
            runs = _runs(routes) if len(left) == len(routes) else _single_runs(routes, left)
            runs_count = _hand_over(log_offset, runs, messages, is_transient)
        if is_transient:
            self._store.refer(log_offset, held_count + runs_count)
        self._room -= runs_count + len(routes) - len(left)  # What is owed is entered some time.
        if self._room < 0:
            self._room = self._spilling.make_room()

    def settle(self) -> None:
        """Enter all that is owed."""
        if not self._owed:
            return
        owed, self._owed = self._owed, []
        is_much, self._owed_count = self._owed_count >= _GROUPED_COUNT_MIN, 0
        if is_much:
            if not self._enter_in_turns(owed):
                self._enter_grouped(owed)
        else:
            for log_offset, routes in owed:
                runs_count = _enter(log_offset, _runs(routes))
                self._store.refer_if_transient(log_offset, runs_count)
                self._room -= runs_count
        if self._room < 0:
            self._room = self._spilling.make_room()

    def changed(self) -> None:
        """Somebody waits for a queue from now on, or does not any more; or a queue is deleted."""
        self.settle()
        self._quiet.clear()
        self._loud.clear()
        self._quiet_route.clear()
        self._crossing.clear()
        self._all_single = True

    def _are_quiet(self, routes: Sequence[Route]) -> bool:
        if self._quiet.issuperset(routes):
            return True
        if not self._loud.isdisjoint(routes):
            return False
        for route in set(routes) - self._quiet:
            if any(queue.dispatcher is not None or queue.deleted for queue in route.queues):
                self._loud.add(route)
                return False
            self._note_quiet(route)
        return True

    def _note_quiet(self, route: Route) -> None:
        self._quiet.add(route)
        self._all_single = self._all_single and len(route.queues) == 1
        for queue in route.queues:
            other = self._quiet_route.setdefault(queue, route)
            if other is not route:
                self._crossing |= {route, other}

    def _enter_in_turns(self, owed: Sequence[Owed]) -> bool:
        """The same as `_enter_grouped`, if the routes take turns; do they?"""
        in_turns = find_turns(owed)
        if in_turns is None or not self._crossing.isdisjoint(in_turns):
            return False
        for log_offset, routes in owed:
            self._entered(log_offset, self._runs_count(routes))
        are_in_log = _are_in_log(owed)
        for route, (log_offsets, places) in in_turns.items():
            for queue in route.queues:
                queue.append_runs(log_offsets, places, True, route.id != 0, are_in_log)
        return True

    def _enter_grouped(self, owed: Sequence[Owed]) -> None:
        """All that goes to one queue at once; but in turn where routes cross, for the order."""
        crossing = self._crossing
        places_of: defaultdict[Route, list[int]] = defaultdict(list)  # Log offset and place.
        are_singles = True
        for log_offset, routes in owed:
            if len(routes) == 1 and routes[0] not in crossing:
                places_of[routes[0]] += (log_offset, SINGLES[0])
                runs_count = len(routes[0].queues)
            elif (
                len(routes) <= len(SINGLES)
                and not any(map(is_, routes, islice(routes, 1, None)))
                and (not crossing or crossing.isdisjoint(routes))
            ):
                pairs = zip(repeat(log_offset), SINGLES)
                deque(map(list.extend, map(places_of.__getitem__, routes), pairs), maxlen=0)
                runs_count = self._runs_count(routes)
            else:
                runs_count = 0
                for route, first, count in _runs(routes):
                    runs_count += len(route.queues)
                    if route in crossing:
                        for queue in route.queues:
                            queue.append(log_offset, first, count, route.id != 0)
                    else:
                        are_singles = are_singles and count == 1
                        places_of[route] += (log_offset, first << 32 | count)
            self._entered(log_offset, runs_count)
        are_in_log = _are_in_log(owed)
        for route, of_route in places_of.items():
            log_offsets, places = array("q", of_route[0::2]), array("q", of_route[1::2])
            for queue in route.queues:
                queue.append_runs(log_offsets, places, are_singles, route.id != 0, are_in_log)

    def _runs_count(self, routes: Sequence[Route]) -> int:
        """How many index entries messages make that are all entered one by one."""
        if self._all_single:
            return len(routes)
        return sum(len(route.queues) for route in routes)

    def _entered(self, log_offset: int, runs_count: int) -> None:
        """So many index entries refer to a batch."""
        self._store.refer_if_transient(log_offset, runs_count)
        self._room -= runs_count


def _are_in_log(owed: Sequence[Owed]) -> bool:
    """Is none of these batches a transient one?"""
    return all(log_offset < VOLATILE_BASE for log_offset, _ in owed)


def _runs(routes: Sequence[Route]) -> Iterable[Run]:
    """Each run of equal routes."""
    if not any(map(is_, routes, islice(routes, 1, None))):
        return zip(routes, range(len(routes)), repeat(1))
    return _long_runs(routes)


def _long_runs(routes: Sequence[Route]) -> Iterator[Run]:
    first, count = 0, len(routes)
    while first < count:
        route = routes[first]
        end = first + 1
        while end < count and routes[end] is route:
            end += 1
        yield route, first, end - first
        first = end


def _single_runs(routes: Sequence[Route], places: Iterable[int]) -> Iterator[Run]:
    """The messages at these places, one by one."""
    return ((routes[place], place, 1) for place in places)


def _hand_over(
    log_offset: int, runs: Iterable[Run], messages: Sequence[Any], is_transient: bool
) -> int:
    """The same as `_enter`, but single messages go straight on to those who wait for them."""
    runs_count = 0
    for route, first, count in runs:
        is_kept = route.id != 0
        for queue in route.queues:
            entries_count = None
            if count == 1:
                entries_count = queue.hand_over(
                    log_offset, first, messages[first], is_kept and not is_transient
                )
            if entries_count is None:
                entries_count = queue.append(log_offset, first, count, is_kept)
            runs_count += entries_count
    return runs_count


def _enter(log_offset: int, runs: Iterable[Run]) -> int:
    """Give each run of equal routes to its queues; return how many index entries that made."""
    runs_count = 0
    for route, first, count in runs:
        is_kept = route.id != 0
        for queue in route.queues:
            runs_count += queue.append(log_offset, first, count, is_kept)
    return runs_count
