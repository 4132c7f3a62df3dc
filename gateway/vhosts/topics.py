"""Topics: what native clients see where AMQP's have exchanges and queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from core.light_queue import LightQueue
from core.route import Route
from gateway.declarations import QueueDeclaration
from gateway.exchanges.keepers import Keepers
from gateway.messages import Header
from gateway.queues.queue import Queue

if TYPE_CHECKING:
    from gateway.vhosts.virtual_host import VirtualHost


class Topics:
    """Those of one virtual host; `changed` is called when a route may be another now.

    `queues` are its queues by each of their lanes.
    """

    def __init__(
        self,
        virtual_host: VirtualHost,
        keepers: Keepers,
        queues: Mapping[LightQueue, Queue],
        changed: Callable[[], None],
    ) -> None:
        self._virtual_host = virtual_host
        self._queues = queues
        self._keepers = keepers
        self._changed = changed

    def queue(self, topic: str, create: bool) -> Queue | None:
        """What a reader of a topic reads.

        The queue of that name; else, for an exchange of that name, its tap: a queue that from now
        on gets a copy of everything published there; else, with `create`, a new durable queue.
        """
        host = self._virtual_host
        queue = host.queues.get(topic)
        if queue is not None:
            return queue
        exchange = host.exchanges.get(topic) if topic else None
        if exchange is None:
            wanted = QueueDeclaration(topic, durable=True)
            return host.declare_queue(wanted) if create else None
        if exchange.tap is None:
            exchange.tap = self._keepers.make_tap(exchange)
            self._changed()
        return exchange.tap

    def holders(self, lights: Sequence[LightQueue]) -> list[Queue]:
        """Whose these are: queues of this virtual host, and its taps."""
        exchanges = self._virtual_host.exchanges.values()
        taps = [exchange.tap for exchange in exchanges if exchange.tap is not None]
        queues = [self._queues[light] for light in lights if light in self._queues]
        return queues + [
            tap for tap in taps if not set(lights).isdisjoint(tap.light.lanes.values())
        ]

    def route(self, topic: str, tag: str, header: Header | None) -> Route:
        """Where a send goes: to the exchange of that name, else to the queue."""
        if topic and topic in self._virtual_host.exchanges:
            return self._virtual_host.route(topic, tag, header)
        self.queue(topic, create=True)
        return self._virtual_host.route("", topic, header)
