"""An exchange and a routing key -> the queues of a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.route import DependsOn
from gateway.exchanges.bindings import Destination
from gateway.exchanges.exchange import Exchange
from gateway.messages import Header
from gateway.queues.queue import Queue

if TYPE_CHECKING:
    from gateway.vhosts.virtual_host import VirtualHost


def find_queues(
    virtual_host: VirtualHost,
    exchange: Exchange,
    routing_keys: Sequence[str],
    header: Header | None,
) -> tuple[list[Queue], DependsOn]:
    """The queues that a message goes to, each once, and what of it mattered.

    A message has one routing key, or several: then it goes where any of them leads.
    Exchanges lead to exchanges: each is visited once. One that finds nothing itself passes the
    message on to its alternate exchange.
    """
    if not exchange.name:
        found_by_name = (virtual_host.queue_named(key) for key in dict.fromkeys(routing_keys))
        return [queue for queue in found_by_name if queue is not None], DependsOn.KEY
    queues: dict[Queue, None] = {}
    depends_on = DependsOn.KEY
    visited = {exchange.name}
    pending = [exchange]
    while pending:
        current = pending.pop()
        matcher = current.matcher
        depends_on = max(depends_on, matcher.depends_on)
        for keeper in current.keepers(header):
            queues[keeper] = None
        found = list(matcher.match(routing_keys, header))
        if not found and current.alternate is not None:
            for key in routing_keys:
                found += _alternate(virtual_host, current.alternate, key)
        for destination in found:
            if isinstance(destination, Queue):
                queues[destination] = None
            elif destination.name not in visited:
                visited.add(destination.name)
                pending.append(destination)
    return list(queues), depends_on


def _alternate(virtual_host: VirtualHost, name: str, routing_key: str) -> list[Destination]:
    """Where an alternate exchange leads: the default one to a queue, a missing one nowhere."""
    found = virtual_host.exchanges.get(name) if name else virtual_host.queue_named(routing_key)
    return [] if found is None else [found]
