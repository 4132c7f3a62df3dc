"""Which exchange leads where: the bindings of one virtual host, remembered where both ends are.

A binding stands in its source, which asks it for every message, and here under its destination, so
that it can go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.broker import Broker
from gateway.declarations import BindingDeclaration
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

    def bind(self, wanted: BindingDeclaration, owner: object | None = None) -> Destination:
        """Bind a queue or an exchange to another exchange, and return it.

        Doing it again changes nothing. Raises `AccessRefusedError`, `NotFoundError`,
        `ResourceLockedError`, or `PreconditionFailedError` if the exchange's type refuses it.
        """
        if wanted.kind == "exchange" and not wanted.destination:
            raise _not_the_default()
        source = self._find_bindable(wanted.source)
        destination = self._find_destination(wanted, owner)
        self._bind(source, destination, wanted.routing_key, wanted.arguments)
        return destination

    def unbind(self, wanted: BindingDeclaration, owner: object | None = None) -> None:
        """Undo `bind`; what is not there is no error."""
        name, source = clean_name(wanted.destination), clean_name(wanted.source)
        if not source or (wanted.kind == "exchange" and not name):
            raise _not_the_default()
        exchange, destination = self._host.exchanges.get(source), self._of_kind(wanted.kind, name)
        if exchange is None or destination is None:
            return
        binding = Binding.make(destination, wanted.routing_key, wanted.arguments)
        if binding in exchange.bindings:
            self._find_destination(wanted, owner)  # May this owner touch it?
            self._unbind(exchange, binding)

    def restore(self, document: list[Any]) -> None:
        """Bring back a durable binding, if both its ends are there."""
        _, source, kind, destination, routing_key, arguments = document
        exchange, found = self._host.exchanges.get(source), self._of_kind(kind, destination)
        if exchange is not None and found is not None:
            self._add(exchange, Binding.make(found, routing_key, dict(arguments)))

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

    def _find_destination(self, wanted: BindingDeclaration, owner: object | None) -> Destination:
        if wanted.kind == "exchange":
            return self._find_bindable(wanted.destination)
        return self._host.find_queue(clean_name(wanted.destination), owner)

    def _of_kind(self, kind: str, name: str) -> Destination | None:
        host = self._host
        return host.queues.get(name) if kind == "queue" else host.exchanges.get(name)

    def _bind(
        self, source: Exchange, destination: Destination, routing_key: str, arguments: Arguments
    ) -> None:
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
