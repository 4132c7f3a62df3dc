"""Exchanges that choose at random: each message is a choice of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import randrange
from typing import TYPE_CHECKING

from core.route import DependsOn
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Binding, Destination

if TYPE_CHECKING:
    from gateway.messages import Header


class RandomBindings:
    """Any one of the bindings, all alike; what is bound twice gets twice as much."""

    depends_on = DependsOn.MESSAGE

    def __init__(self) -> None:
        self._bindings: list[Binding] = []
        self._positions: dict[Binding, int] = {}

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""
        self._positions[binding] = len(self._bindings)
        self._bindings.append(binding)

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        position = self._positions.pop(binding)
        last = self._bindings.pop()
        if last is not binding and position < len(self._bindings):
            self._bindings[position] = last
            self._positions[last] = position

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """The destination of one binding."""
        if not self._bindings:
            return ()
        return (self._bindings[randrange(len(self._bindings))].destination,)


class LocalRandomBindings(RandomBindings):
    """The same; in a cluster, one that is on the same node. A binding has no key."""

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet. Raises `PreconditionFailedError`."""
        if binding.routing_key:
            raise PreconditionFailedError(
                f"Non empty binding '{binding.routing_key}' key not permitted"
            )
        super().add(binding)
