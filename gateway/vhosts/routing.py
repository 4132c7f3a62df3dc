"""An exchange and a routing key -> where a message goes: queues, at once, and later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.route import DependsOn
from gateway.delays.schedules import Schedule
from gateway.exchanges.bindings import Destination
from gateway.exchanges.delayed_exchanges import find_delay
from gateway.exchanges.exchange import Exchange
from gateway.messages import Header
from gateway.queues.queue import Queue

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


def find_targets(
    virtual_host: VirtualHost,
    exchange: Exchange,
    routing_keys: Sequence[str],
    header: Header | None,
) -> Found:
    """Where a message goes that is sent to this exchange.

    A message has one routing key, or several: then it goes where any of them leads.
    Exchanges lead to exchanges: each is visited once. One that finds nothing itself passes the
    message on to its alternate exchange; one that delays the message, not yet.
    """
    if not exchange.name:
        found_by_name = (virtual_host.queue_named(key) for key in dict.fromkeys(routing_keys))
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
                found += _alternate(virtual_host, current.alternate, key)
        for destination in found:
            if isinstance(destination, Queue):
                queues[destination] = None
            elif destination.name not in visited:
                visited.add(destination.name)
                pending.append(destination)
    return Found(list(queues), depends_on, delays)


def _alternate(virtual_host: VirtualHost, name: str, routing_key: str) -> list[Destination]:
    """Where an alternate exchange leads: the default one to a queue, a missing one nowhere."""
    found = virtual_host.exchanges.get(name) if name else virtual_host.queue_named(routing_key)
    return [] if found is None else [found]
