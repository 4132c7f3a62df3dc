"""An exchange and a routing key -> where a message goes: queues, at once, and later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.broker import Broker
from core.route import DependsOn, Route
from gateway.delays.delays import DelayedRoute
from gateway.delays.schedules import Schedule
from gateway.errors import AccessRefusedError
from gateway.exchanges.bindings import Destination
from gateway.exchanges.delayed_exchanges import find_delay
from gateway.exchanges.exchange import Exchange
from gateway.messages import Header
from gateway.queues.queue import Queue
from gateway.vhosts.missing import Missing
from gateway.vhosts.route_table import RouteTable

if TYPE_CHECKING:
    from gateway.vhosts.virtual_host import VirtualHost


@dataclass(slots=True)
class Found:
    """Where a message goes: queues, each once, and what of the message had a say in it.

    The exchanges that delay it send it on from there, when it is due.
    """

    queues: list[Queue]
    depends_on: DependsOn = DependsOn.KEY
    delays: list[tuple[Exchange, Schedule]] = field(default_factory=list)


class Routing:
    """The routes of one virtual host; `changed` is called when a new queue changes one."""

    def __init__(
        self, virtual_host: VirtualHost, broker: Broker, changed: Callable[[], None]
    ) -> None:
        self._virtual_host = virtual_host
        self._changed = changed
        self._missing = Missing()
        self.table = RouteTable(broker)

    def add(self, queue: Queue) -> None:
        """A queue is there, perhaps one that somebody keeps a route without."""
        self.table.add(queue)
        if queue.name in self._missing:
            self._missing.clear()
            self._changed()

    def remove(self, queue: Queue) -> None:
        """A queue is gone."""
        self.table.remove(queue)

    def route(
        self,
        exchange: str,
        routing_key: str,
        header: Header | None,
        more_keys: Sequence[str] = (),
    ) -> Route:
        """Where a message goes that is published so; `more_keys` lead there as well.

        Raises `NotFoundError`, or `AccessRefusedError` for an internal exchange.
        """
        found = self._virtual_host.find_exchange(exchange)
        if found.internal:
            raise AccessRefusedError(f"cannot publish to internal {found}")
        if header is not None and header.may_delay:
            delayed = self._virtual_host.delays.route(found, more_keys, header)
            if delayed is not None:
                return delayed
        targets = self.find_targets(found, (routing_key, *more_keys), header)
        return self.route_to(targets, header, more_keys)

    def route_to(self, found: Found, header: Header | None, more_keys: Sequence[str] = ()) -> Route:
        """The route of a message to what was found; in some queues its priority has a say."""
        route = self.table.route(found.queues, found.depends_on, header)
        if not found.delays:
            return route
        delays = [(exchange.name, schedule) for exchange, schedule in found.delays]
        return DelayedRoute(route, delays, more_keys)

    def find_targets(
        self, exchange: Exchange, routing_keys: Sequence[str], header: Header | None
    ) -> Found:
        """Where a message goes that is sent to this exchange.

        A message has one routing key, or several: then it goes where any of them leads.
        Exchanges lead to exchanges: each is visited once. One that finds nothing itself passes the
        message on to its alternate exchange; one that delays the message, not yet.
        """
        if not exchange.name:
            found_by_name = (self._find_queue(key) for key in dict.fromkeys(routing_keys))
            return Found([queue for queue in found_by_name if queue is not None])
        queues: dict[Queue, None] = {}
        delays: list[tuple[Exchange, Schedule]] = []
        depends_on = DependsOn.KEY
        visited = {exchange.name}
        pending = [exchange]
        while pending:
            current = pending.pop()
            current.asked_keys.note(routing_keys)
            if (schedule := find_delay(current, header)) is not None:
                delays.append((current, schedule))
                continue
            matcher = current.matcher
            depends_on = max(depends_on, matcher.depends_on)
            for keeper in current.keepers(header):
                queues[keeper] = None
            found = list(matcher.match(routing_keys, header))
            if not found and current.alternate is not None:
                for key in routing_keys:
                    found += self._alternate(current.alternate, key)
            for destination in found:
                if isinstance(destination, Queue):
                    queues[destination] = None
                elif destination.name not in visited:
                    visited.add(destination.name)
                    pending.append(destination)
        return Found(list(queues), depends_on, delays)

    # The rest is private

    def _find_queue(self, name: str) -> Queue | None:
        """The queue of this name; whoever keeps the route hears if it comes to exist."""
        queue = self._virtual_host.queues.get(name)
        if queue is None:
            self._missing.look(name)
        return queue

    def _alternate(self, name: str, routing_key: str) -> list[Destination]:
        """Where an alternate exchange leads: the default one to a queue, a missing one nowhere."""
        found = self._virtual_host.exchanges.get(name) if name else self._find_queue(routing_key)
        return [] if found is None else [found]
