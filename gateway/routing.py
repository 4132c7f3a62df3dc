"""An exchange and a routing key -> the queues of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.light_queue import LightQueue
from core.route import Route
from gateway.bindings import Arguments, Destination
from gateway.exchanges import Exchange
from gateway.messages import Header, Message
from gateway.queues import Queue

if TYPE_CHECKING:
    from gateway.vhosts import VirtualHost


def find_queues(
    virtual_host: VirtualHost,
    exchange: Exchange,
    routing_keys: Sequence[str],
    header: Header | None,
) -> tuple[list[Queue], bool]:
    """The queues that a message goes to, each once, and whether its headers mattered.

    A message has one routing key, or several: then it goes where any of them leads.
    Exchanges lead to exchanges: each is visited once. One that finds nothing itself passes the
    message on to its alternate exchange.
    """
    if not exchange.name:
        named = virtual_host.queues
        return [named[key] for key in dict.fromkeys(routing_keys) if key in named], False
    queues: dict[Queue, None] = {}
    by_header = False
    headers: Arguments = {}  # Only decoded if an exchange asks for them.
    visited = {exchange.name}
    pending = [exchange]
    while pending:
        current = pending.pop()
        if current.matcher.by_header and not by_header:
            by_header = True
            headers = header.properties.headers if header is not None else {}
        if current.tap is not None:
            queues[current.tap] = None
        match = current.matcher.match
        found = [destination for key in routing_keys for destination in match(key, headers)]
        if not found and current.alternate is not None:
            for key in routing_keys:
                found += _alternate(virtual_host, current.alternate, key)
        for destination in found:
            if isinstance(destination, Queue):
                queues[destination] = None
            elif destination.name not in visited:
                visited.add(destination.name)
                pending.append(destination)
    return list(queues), by_header


def by_guarded_queue(
    items: Sequence[tuple[Route, Message, bytes]], queue_of: Mapping[LightQueue, Queue]
) -> dict[Queue, list[Message]]:
    """What of these messages goes to each queue that may refuse some."""
    found: dict[Queue, list[Message]] = {}
    for route, message, _ in items:
        if route.guarded:
            for light in route.queues:
                if light.guarded:
                    found.setdefault(queue_of[light], []).append(message)
    return found


def _alternate(virtual_host: VirtualHost, name: str, routing_key: str) -> list[Destination]:
    """Where an alternate exchange leads: the default one to a queue, a missing one nowhere."""
    destinations: Mapping[str, Destination] = virtual_host.exchanges
    if not name:
        name, destinations = routing_key, virtual_host.queues
    return [destinations[name]] if name in destinations else []
