"""Batches that go past their queues, each message to the one who takes all that comes there.

A read may bring one message each for a hundred queues, whose consumers are of one channel, or of a
few. Each message would then set off all that its queue does for it: an index entry, a place in the
window, an entry in the journal, and all that again when it is acknowledged. Instead all that is for
one receiver goes to him at once; what becomes of it is an entry of the journal by its place in the
log; and what its queues are owed for it is remembered as a whole, too. It is entered into their
indexes and windows when somebody looks at any such queue. By then most is settled long since, and
all that is left to do is to count.

Invariants: only a queue that is among some `Takers` is owed anything here. It is among them as long
as nothing waits in it and all that comes is taken; whoever wants to see or to change anything but
what was entered before has it leave them first, which enters all that is owed. `LightQueue` sees to
that: its state is private. Offsets are given in the order of the log, as recovery gives them;
nobody has seen one that is owed.

This is on the hot path: what is done per message is done by C functions over whole batches.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain, islice
from math import ceil
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, Protocol

from core.intervals import runs_of
from core.light_queue import LightQueue
from core.route import Route

if TYPE_CHECKING:
    from core.progress import Progress
    from core.store import Store

_takers_of = attrgetter("takers")
_OWED_COUNT_MAX = 1 << 14  # Messages: counting so many that are settled takes 1 ms.
_HANDED_COST = 4  # Each batch takes as long to enter as so many more messages.
_SHARE = 1 / 8  # Of what is owed, if it is too much; to enter all would take 10 to 20 ms.
_COUNT_MIN = 4  # Fewer messages are not worth it, unless the like of them is owed already.
_LONG_COUNT_MIN = 16  # Batches of more messages are not for us if most are in runs.


class Handed:
    """Messages of one record that were handed to one receiver; his `number` and `depth` of it.

    `places` are theirs in the record; there are a route and a taker for each.
    """

    __slots__ = (
        "depth",
        "is_transient",
        "log_offset",
        "number",
        "places",
        "receiver",
        "routes",
        "settled_count",
        "takers",
    )

    def __init__(
        self,
        log_offset: int,
        places: Sequence[int],
        routes: Sequence[Route],
        takers: Sequence[Any],
        receiver: Receiver,
        is_transient: bool,
    ) -> None:
        self.log_offset = log_offset
        self.places = places
        self.routes = routes
        self.takers = takers
        self.receiver = receiver
        self.is_transient = is_transient
        self.settled_count = len(routes) if receiver.settles else 0  # The first so many are.
        self.number = 0
        self.depth = 0

    @property
    def left_count(self) -> int:
        """How many messages are not settled."""
        return len(self.routes) - self.settled_count


class Receiver(Protocol):
    """Somebody to whom several takers belong; if it `settles`, it is done with what it takes."""

    @property
    def settles(self) -> bool:
        """See above."""

    def take_all(self, handed: Handed, messages: Sequence[Any]) -> bool:
        """Take all of these messages, or none; say whether it did."""

    def done(self, handed: Handed) -> None:
        """All of it is settled now."""

    def entered(self, handed: Handed, offsets: Sequence[int]) -> None:
        """What is not settled is in flight, under these queue offsets, one by one from now on."""


class Takers:
    """Who takes what comes by which route: all those of one receiver, and of one kind of queues."""

    def __init__(self, handing: Handing, receiver: Receiver, are_durable: bool) -> None:
        self.receiver = receiver
        self.are_durable = are_durable
        self._handing = handing
        self._routes_to: defaultdict[LightQueue, list[Route]] = defaultdict(list)

    def add(self, route: Route, queue: LightQueue) -> None:
        """Whatever takes this route is for the queue's taker."""
        route.taker, route.takers = queue.taker, self
        self._routes_to[queue].append(route)
        queue.takers = self

    def leave(self, queue: LightQueue) -> None:
        """A queue gets all that it is owed, and is like any other from now on."""
        self._handing.enter_all()
        queue.takers = None
        for route in self._routes_to.pop(queue):
            route.taker = route.takers = None
        if not self._routes_to:
            self._handing.forget(self)


class Handing:
    """Hands batches over, and remembers what the queues are owed for it."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._takers: dict[tuple[Receiver, bool], Takers] = {}
        self._owed: list[Handed] = []  # In the order of the log.
        self._owed_count = 0

    def hand_over(
        self, log_offset: int, routes: Sequence[Route], messages: Sequence[Any], is_transient: bool
    ) -> tuple[int, Sequence[int]]:
        """A batch was stored: give what can be to those who take it.

        Returns how many references to a transient batch are held from now on, and the places of
        what nobody took.
        """
        every = range(len(routes))
        takers = routes[0].takers
        if takers is None and len(routes) < _COUNT_MIN:
            return 0, every
        if len(routes) > _LONG_COUNT_MIN and _are_mostly_runs(routes):
            return 0, every
        is_for_one = takers is not None and set(map(_takers_of, routes)) == {takers}
        if takers is None or not is_for_one or takers.are_durable is is_transient:
            return self._hand_over_sorted(log_offset, routes, messages, is_transient)
        taking = [route.taker for route in routes]
        handed = Handed(log_offset, every, routes, taking, takers.receiver, is_transient)
        if not self._give(handed, messages):
            return 0, every
        return int(not takers.receiver.settles), ()

    def settle(self, handed: Handed, count: int) -> None:
        """The receiver is done with so many messages more, in their order."""
        first = handed.settled_count
        handed.settled_count += count
        if not handed.is_transient:
            for start, end in runs_of(handed.places[first : first + count]):
                self._progress.settled_in_record(handed.log_offset, start, end - start)
        elif not handed.left_count:
            self._store.release(handed.log_offset)
        if not handed.left_count:
            handed.receiver.done(handed)

    def enter_all(self) -> None:
        """The queues get all that they are owed."""
        if self._owed:
            self._enter_settled()
            self._enter_first(len(self._owed))

    def forget(self, takers: Takers) -> None:
        """There are none any more."""
        del self._takers[takers.receiver, takers.are_durable]

    # The rest is private

    def _hand_over_sorted(
        self, log_offset: int, routes: Sequence[Route], messages: Sequence[Any], is_transient: bool
    ) -> tuple[int, Sequence[int]]:
        """The same, for several receivers, or where not all is taken."""
        receivers = {route: _receiver_at(route, is_transient) for route in set(routes)}
        # What does not only come for takers keeps its turn among what does.
        queues = {
            queue for route in receivers if receivers[route] is None for queue in route.queues
        }
        for route in receivers:
            if not queues.isdisjoint(route.queues):
                receivers[route] = None
        places_of: defaultdict[Receiver | None, list[int]] = defaultdict(list)
        for place, route in enumerate(routes):
            places_of[receivers[route]].append(place)
        left = places_of.pop(None, [])
        references_count = 0
        for receiver, places in places_of.items():
            if receiver is None:
                continue
            wanted = [routes[place] for place in places]
            if len(wanted) < _COUNT_MIN and not any(map(_takers_of, wanted)):
                left += places
                continue
            taking = [route.queues[0].taker for route in wanted]
            handed = Handed(log_offset, places, wanted, taking, receiver, is_transient)
            if not self._give(handed, [messages[place] for place in places]):
                left += places
                continue
            references_count += not receiver.settles
            for route in wanted:
                if route.takers is None:
                    self._add_taker(route, receiver)
        return references_count, sorted(left)

    def _give(self, handed: Handed, messages: Sequence[Any]) -> bool:
        """Let the receiver have these messages, if he takes them all; does he?"""
        receiver = handed.receiver
        if not receiver.take_all(handed, messages):
            return False
        if not handed.is_transient:
            progress = self._progress
            note = progress.settled_in_record if receiver.settles else progress.delivered_in_record
            for start, end in runs_of(handed.places):
                note(handed.log_offset, start, end - start)
        self._owed.append(handed)
        self._owed_count += len(handed.routes) + _HANDED_COST
        if self._owed_count >= _OWED_COUNT_MAX:
            self._enter_settled()
            if self._owed_count >= _OWED_COUNT_MAX:
                self._enter_first(ceil(len(self._owed) * _SHARE))
        return True

    def _add_taker(self, route: Route, receiver: Receiver) -> None:
        """Whatever takes this route is for him from now on."""
        (queue,) = route.queues
        takers = queue.takers
        if takers is None:
            key = receiver, queue.durable
            takers = self._takers.get(key)
            if takers is None:
                takers = self._takers[key] = Takers(self, *key)
        takers.add(route, queue)

    def _enter_settled(self) -> None:
        """Of the oldest, those that are settled wholly: mostly, they are but counted."""
        owed = self._owed
        done = 0
        while done < len(owed) and not owed[done].left_count:
            done += 1
        batches, self._owed = owed[:done], owed[done:]
        counts = Counter(chain.from_iterable(handed.routes for handed in batches))
        self._owed_count -= counts.total() + _HANDED_COST * done
        if all(route.queues[0].is_caught_up for route in counts):
            for route, count in counts.items():
                route.queues[0].pass_by(count)
        else:
            for handed in batches:
                self._enter(handed)

    def _enter_first(self, count: int) -> None:
        """The oldest so many batches, settled or not."""
        batches, self._owed = self._owed[:count], self._owed[count:]
        for handed in batches:
            self._owed_count -= len(handed.routes) + _HANDED_COST
            self._enter(handed)

    def _enter(self, handed: Handed) -> None:
        """Each message gets its offset, and its place in the index and the window of its queue."""
        log_offset, settled_count = handed.log_offset, handed.settled_count
        offsets = [
            route.queues[0].enter(log_offset, place, position < settled_count)
            for position, (route, place) in enumerate(
                zip(handed.routes, handed.places, strict=True)
            )
        ]
        if handed.left_count:
            if handed.is_transient:
                self._store.refer(log_offset, handed.left_count)
            handed.receiver.entered(handed, offsets[settled_count:])


def _receiver_at(route: Route, is_transient: bool) -> Receiver | None:
    """To whom all could go past its queue that takes this route, if there is somebody."""
    if len(route.queues) != 1:
        return None
    (queue,) = route.queues
    taker = queue.taker
    if taker is None or queue.durable is is_transient or (queue.durable and not route.durable):
        return None
    if queue.takers is None and not queue.may_be_owed:
        return None
    return taker.receiver


def _are_mostly_runs(routes: Sequence[Route]) -> bool:
    """Do most messages go where the one before went?"""
    return 2 * sum(map(is_, routes, islice(routes, 1, None))) >= len(routes)
