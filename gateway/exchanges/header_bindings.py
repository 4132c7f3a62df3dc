"""The headers exchange: a binding's arguments are compared with a message's headers.

A message is looked up by its headers: only bindings that ask for one of them are looked at. A
binding that wants all of its arguments stands under one of them, that by which the fewest others
were found when it came; one that wants any stands under each.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from core.route import DependsOn
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Binding, Destination, freeze
from gateway.values import type_name

if TYPE_CHECKING:
    from gateway.messages import Header

_MODES = ("all", "any", "all-with-x", "any-with-x")

# A header and its value; None asks for its presence only.
_Pair: TypeAlias = "tuple[str, Hashable]"


class _Condition(NamedTuple):
    """What a binding wants: all of these pairs, or any of them."""

    wants_all: bool
    pairs: tuple[_Pair, ...]


class HeaderBindings:
    """The bindings, by the pairs that they ask for."""

    depends_on = DependsOn.HEADER

    def __init__(self) -> None:
        self._unconditional: dict[Binding, None] = {}  # All of nothing is always there.
        self._by_pair: dict[_Pair, dict[Binding, _Condition]] = {}
        self._places: dict[Binding, tuple[_Pair, ...]] = {}

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet. Raises `PreconditionFailedError`."""
        condition = _condition(binding)
        if not condition.pairs:
            if condition.wants_all:
                self._unconditional[binding] = None
            return
        places = condition.pairs
        if condition.wants_all:
            places = (min(places, key=self._count),)
        self._places[binding] = places
        for pair in places:
            self._by_pair.setdefault(pair, {})[binding] = condition

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        self._unconditional.pop(binding, None)
        for pair in self._places.pop(binding, ()):
            bindings = self._by_pair[pair]
            del bindings[binding]
            if not bindings:
                del self._by_pair[pair]

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All bindings whose arguments fit."""
        found = dict.fromkeys(self._unconditional)
        pairs: set[_Pair] = set()
        for name, value in header.properties.headers.items() if header is not None else ():
            pairs.add((name, None))
            pairs.add((name, freeze(value)))
        for pair in pairs:
            for binding, condition in self._by_pair.get(pair, {}).items():
                if not condition.wants_all or pairs.issuperset(condition.pairs):
                    found[binding] = None
        return (binding.destination for binding in found)

    def _count(self, pair: _Pair) -> int:
        return len(self._by_pair.get(pair, ()))


def _condition(binding: Binding) -> _Condition:
    arguments = dict(binding.arguments)
    match = arguments.pop("x-match", "all")
    if not isinstance(match, str):
        raise PreconditionFailedError(
            f"Invalid x-match field type {type_name(match)} (value {match}); expected longstr"
        )
    if match not in _MODES:
        raise PreconditionFailedError(
            f'Invalid x-match field value <<"{match}">>;'
            " expected all, any, all-with-x, or any-with-x"
        )
    if not match.endswith("-with-x"):
        arguments = {name: value for name, value in arguments.items() if name[:2] != "x-"}
    return _Condition(match.startswith("all"), tuple(arguments.items()))
