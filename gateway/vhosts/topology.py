"""Which exchange leads where: the bindings of one virtual host, remembered where both ends are.

A binding stands in its source, which asks it for every message, and here under its destination, so
that it can go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.broker import Broker
from gateway.exchanges.bindings import Arguments, Binding, Destination
from gateway.exchanges.exchange import Exchange
from gateway.queues.queue import Queue


class Topology:
    """The bindings of one virtual host; `changed` is called when a route may be another now."""

    def __init__(self, virtual_host: str, broker: Broker, changed: Callable[[], None]) -> None:
        self._virtual_host = virtual_host
        self._broker = broker
        self._changed = changed
        self._bound_to: dict[Destination, dict[tuple[Exchange, Binding], None]] = {}

    def bind(
        self, source: Exchange, destination: Destination, routing_key: str, arguments: Arguments
    ) -> bool:
        """Make a binding; False if it is there already.

        Raises `PreconditionFailedError` if the exchange's type refuses it.
        """
        binding = Binding.make(destination, routing_key, arguments)
        if not self._add(source, binding):
            return False
        self._changed()
        if source.durable and destination.durable:
            document = [
                self._virtual_host, source.name, _kind(destination), destination.name,
                routing_key, dict(arguments),
            ]  # fmt: skip
            try:
                self._broker.put_document("binding", self._key(source, binding), document)
            except OSError:
                self._remove(source, binding)
                raise
        return True

    def restore(
        self,
        document: list[Any],
        exchanges: Mapping[str, Exchange],
        queues: Mapping[str, Queue],
    ) -> None:
        """Bring back a durable binding, if both its ends are there."""
        _, source, kind, destination, routing_key, arguments = document
        found = (queues if kind == "queue" else exchanges).get(destination)
        if found is not None and source in exchanges:
            self._add(exchanges[source], Binding.make(found, routing_key, dict(arguments)))

    def unbind(self, source: Exchange, binding: Binding) -> bool:
        """Remove a binding; False if there is none."""
        if not self._remove(source, binding):
            return False
        self._broker.delete_document("binding", self._key(source, binding))
        return True

    def unbind_all(self, bindings: Sequence[tuple[Exchange, Binding]]) -> None:
        """Remove many bindings at once: those of a queue or an exchange that goes."""
        for source, binding in bindings:
            self._remove(source, binding)
        keys = [self._key(source, binding) for source, binding in bindings if source.durable]
        self._broker.delete_documents("binding", keys)

    def bound_to(self, destination: Destination) -> list[tuple[Exchange, Binding]]:
        """The bindings that lead to a queue or exchange, with their sources."""
        return list(self._bound_to.get(destination, ()))

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
        self._changed()
        return True

    def _key(self, source: Exchange, binding: Binding) -> str:
        destination = binding.destination
        parts = (source.name, _kind(destination), destination.name, binding.routing_key)
        return "\0".join((self._virtual_host, *parts, repr(binding.arguments)))


def _kind(destination: Destination) -> str:
    return "queue" if isinstance(destination, Queue) else "exchange"
