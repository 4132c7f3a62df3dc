"""Which exchange leads where: the bindings of one virtual host, remembered where both ends are.

A binding stands in its source, which asks it for every message, and here under its destination, so
that it can go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.broker import Broker
from gateway.errors import AccessRefusedError
from gateway.exchanges.bindings import Arguments, Binding, Destination
from gateway.exchanges.exchange import Exchange
from gateway.exchanges.keepers import Keepers
from gateway.queues.queue import Queue
from gateway.vhosts.names import clean_name

if TYPE_CHECKING:
    from gateway.vhosts.virtual_host import VirtualHost


class Topology:
    """The bindings of one virtual host; `changed` is called when a route may be another now."""

    def __init__(
        self, host: VirtualHost, broker: Broker, keepers: Keepers, changed: Callable[[], None]
    ) -> None:
        self._host = host
        self._broker = broker
        self._keepers = keepers
        self._changed = changed
        self._bound_to: dict[Destination, dict[tuple[Exchange, Binding], None]] = {}

    def bind_queue(
        self,
        queue: str,
        exchange: str,
        routing_key: str,
        arguments: Arguments | None = None,
        owner: object | None = None,
    ) -> Queue:
        """Bind a queue to an exchange, and return it; doing it again changes nothing."""
        source = self._find_bindable(exchange)
        destination = self._host.find_queue(clean_name(queue), owner)
        self._bind(source, destination, routing_key, arguments or {})
        return destination

    def unbind_queue(
        self,
        queue: str,
        exchange: str,
        routing_key: str,
        arguments: Arguments | None = None,
        owner: object | None = None,
    ) -> None:
        """Undo `bind_queue`; what is not there is no error."""
        queue, exchange = clean_name(queue), clean_name(exchange)
        if not exchange:
            raise _not_the_default()
        if queue in self._host.queues and exchange in self._host.exchanges:
            binding = Binding.make(self._host.queues[queue], routing_key, arguments or {})
            if binding in self._host.exchanges[exchange].bindings:
                self._host.find_queue(queue, owner)
                self._unbind(self._host.exchanges[exchange], binding)

    def bind_exchange(
        self, destination: str, source: str, routing_key: str, arguments: Arguments | None = None
    ) -> None:
        """Bind an exchange to another one, the source."""
        if not destination:
            raise _not_the_default()
        found = self._find_bindable(source)
        target = self._find_bindable(destination)
        self._bind(found, target, routing_key, arguments or {})

    def unbind_exchange(
        self, destination: str, source: str, routing_key: str, arguments: Arguments | None = None
    ) -> None:
        """Undo `bind_exchange`; what is not there is no error."""
        destination, source = clean_name(destination), clean_name(source)
        if not destination or not source:
            raise _not_the_default()
        if destination in self._host.exchanges and source in self._host.exchanges:
            binding = Binding.make(self._host.exchanges[destination], routing_key, arguments or {})
            self._unbind(self._host.exchanges[source], binding)

    def restore(self, document: list[Any]) -> None:
        """Bring back a durable binding, if both its ends are there."""
        _, source, kind, destination, routing_key, arguments = document
        exchanges, queues = self._host.exchanges, self._host.queues
        found = (queues if kind == "queue" else exchanges).get(destination)
        if found is not None and source in exchanges:
            self._add(exchanges[source], Binding.make(found, routing_key, dict(arguments)))

    def unbind_all(self, bindings: Sequence[tuple[Exchange, Binding]]) -> None:
        """Remove many bindings at once: those of a queue or an exchange that goes."""
        for source, binding in bindings:
            self._remove(source, binding)
        keys = [self._key(source, binding) for source, binding in bindings if source.durable]
        self._broker.delete_documents("binding", keys)

    def remove_bindings_to(self, destination: Destination) -> None:
        """A queue or an exchange goes, and with it what leads there."""
        bindings = list(self._bound_to.get(destination, ()))
        self.unbind_all(bindings)
        for source in dict.fromkeys(source for source, _ in bindings):
            if source.auto_delete and not source.bindings:
                self._host.remove_exchange(source)

    # The rest is private

    def _find_bindable(self, exchange: str) -> Exchange:
        exchange = clean_name(exchange)
        if not exchange:
            raise _not_the_default()
        return self._host.find_exchange(exchange)

    def _bind(
        self, source: Exchange, destination: Destination, routing_key: str, arguments: Arguments
    ) -> None:
        """Raises `PreconditionFailedError` if the exchange's type refuses it."""
        binding = Binding.make(destination, routing_key, arguments)
        if not self._add(source, binding):
            return
        self._tell(source, binding)
        if source.durable and destination.durable:
            document = [
                self._host.name, source.name, _kind(destination), destination.name,
                routing_key, dict(arguments),
            ]  # fmt: skip
            try:
                self._broker.put_document("binding", self._key(source, binding), document)
            except OSError:
                self._remove(source, binding)
                raise
        self._keepers.replay(source, destination)

    def _unbind(self, source: Exchange, binding: Binding) -> None:
        if not self._remove(source, binding):
            return
        self._broker.delete_document("binding", self._key(source, binding))
        if source.auto_delete and not source.bindings:
            self._host.remove_exchange(source)

    def _add(self, source: Exchange, binding: Binding) -> bool:
        if not source.add(binding):
            return False
        self._bound_to.setdefault(binding.destination, {})[source, binding] = None
        return True

    def _remove(self, source: Exchange, binding: Binding) -> bool:
        if not source.remove(binding):
            return False
        bound = self._bound_to[binding.destination]
        del bound[source, binding]
        if not bound:
            del self._bound_to[binding.destination]
        self._tell(source, binding)
        return True

    def _tell(self, source: Exchange, binding: Binding) -> None:
        """A binding is new or gone: a route that somebody keeps may be another now."""
        if source.asked_keys.concern(binding):
            source.asked_keys.clear()
            self._changed()

    def _key(self, source: Exchange, binding: Binding) -> str:
        destination = binding.destination
        parts = (source.name, _kind(destination), destination.name, binding.routing_key)
        return "\0".join((self._host.name, *parts, repr(binding.arguments)))


def _kind(destination: Destination) -> str:
    return "queue" if isinstance(destination, Queue) else "exchange"


def _not_the_default() -> AccessRefusedError:
    return AccessRefusedError("operation not permitted on the default exchange")
