"""An exchange and a routing key -> the queues of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.bindings import Arguments
from gateway.exchanges import Exchange
from gateway.queues import Queue

if TYPE_CHECKING:
    from gateway.vhosts import VirtualHost


def find_queues(
    virtual_host: VirtualHost, exchange: Exchange, routing_key: str, headers: Arguments
) -> tuple[list[Queue], bool]:
    """The queues that a message goes to, each once, and whether its headers mattered.

    Exchanges lead to exchanges: each is visited once. One that finds nothing itself passes the
    message on to its alternate exchange.
    """
    if not exchange.name:
        queue = virtual_host.queues.get(routing_key)
        return ([queue] if queue is not None else []), False
    queues: dict[Queue, None] = {}
    by_header = False
    visited = {exchange.name}
    pending = [exchange]
    while pending:
        current = pending.pop()
        by_header = by_header or current.matcher.by_header
        if current.tap is not None:
            queues[current.tap] = None
        found = list(current.matcher.match(routing_key, headers))
        if not found and current.alternate is not None:
            alternate = virtual_host.exchanges.get(current.alternate)
            found = [alternate] if alternate is not None else []
        for destination in found:
            if isinstance(destination, Queue):
                queues[destination] = None
            elif destination.name not in visited:
                visited.add(destination.name)
                if destination.name:
                    pending.append(destination)
                elif routing_key in virtual_host.queues:
                    queues[virtual_host.queues[routing_key]] = None
    return list(queues), by_header
