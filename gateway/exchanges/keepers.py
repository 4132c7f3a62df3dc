"""The queues that get a copy of what is sent to an exchange, whoever is bound to it.

A tap is what native readers of a topic read. A history keeps the last messages, and gives them to
whoever is bound later; so that it is there after a restart, it keeps transient ones as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from core.broker import Broker
from core.light_queue import LightQueue
from gateway.declarations import QueueDeclaration
from gateway.exchanges.bindings import Destination
from gateway.exchanges.exchange import Exchange
from gateway.messages import Language, Message, writing_language
from gateway.queues.queue import Queue
from gateway.vhosts.routing import Found

if TYPE_CHECKING:
    from core.route import Route
    from gateway.vhosts.virtual_host import VirtualHost

_TAP, _HISTORY = "tap", "history"


class Keepers:
    """Those of one virtual host."""

    _log = Logger()

    def __init__(
        self, virtual_host: VirtualHost, broker: Broker, languages: Mapping[int, Language]
    ) -> None:
        self._virtual_host = virtual_host
        self._broker = broker
        self._languages = languages

    def make_tap(self, exchange: Exchange) -> Queue:
        """A queue that from now on gets a copy of everything, for groups that read it."""
        return self._tap(exchange, self._declare(exchange, _TAP))

    def begin(self, exchange: Exchange) -> None:
        """See that there is a history, if the exchange wants one."""
        if exchange.history_length and exchange.history is None:
            exchange.history = self._history(exchange, self._declare(exchange, _HISTORY))

    def restore(
        self, exchange: Exchange | None, document: Mapping[str, Any], light: LightQueue
    ) -> bool:
        """Bring back a durable one; False if the document is of another queue."""
        if exchange is not None and _TAP in document:
            exchange.tap = self._tap(exchange, light)
        elif exchange is not None and _HISTORY in document:
            exchange.history = self._history(exchange, light)
        return _TAP in document or _HISTORY in document

    def end(self, exchange: Exchange) -> None:
        """The exchange is gone."""
        for queue in (exchange.tap, exchange.history):
            if queue is not None:
                self._broker.delete_queue(queue.light)
                queue.deleted()

    def replay(self, exchange: Exchange, destination: Destination) -> None:
        """Send what the exchange keeps to whoever was just bound, the oldest first.

        Raises `OSError` if the disk refuses.
        """
        history = exchange.history
        if history is None:
            return
        language = writing_language(self._languages)
        if language is None:
            self._log.error("no language can write what {exchange} keeps", exchange=exchange)
            return
        length = exchange.history_length
        start = max(history.min_offset, history.max_offset - length)
        items = []
        for _, (envelope, header, body) in history.read(start, length):
            copy, stored = language.encode(
                envelope.exchange, envelope.routing_key, header.properties, body, died=False
            )
            items.append((self._route(destination, copy), copy, stored))
        self._virtual_host.intake.publish(items)

    # The rest is private

    def _route(self, destination: Destination, message: Message) -> Route:
        envelope, header, _ = message
        if isinstance(destination, Queue):
            return self._virtual_host.route_to(Found([destination]), header)
        found = self._virtual_host.find_targets(destination, (envelope.routing_key,), header)
        return self._virtual_host.route_to(found, header)

    def _declare(self, exchange: Exchange, kind: str) -> LightQueue:
        document = [exchange.virtual_host, exchange.name, False, {}, {kind: True}]
        return self._broker.declare_queue(document if exchange.durable else None)

    def _queue(
        self, exchange: Exchange, light: LightQueue, arguments: Mapping[str, object] | None = None
    ) -> Queue:
        declared = QueueDeclaration(exchange.name, arguments=arguments or {})
        return Queue(self._virtual_host, declared, light, self._broker.turn)

    def _tap(self, exchange: Exchange, light: LightQueue) -> Queue:
        light.only_read = True
        return self._queue(exchange, light)

    def _history(self, exchange: Exchange, light: LightQueue) -> Queue:
        queue = self._queue(exchange, light, {"x-max-length": exchange.history_length})
        light.keeps_all = True
        light.is_target = False
        return queue
