"""The routing keys that an exchange was asked for, by somebody who may keep the route.

Whoever keeps routes must hear when a binding comes or goes that makes one of them another. One that
fits no key that anybody asked for changes no route: a thousand subscribers a second who come and go
then cost the publishers beside them nothing. What the exchange was asked for by way of another one
is here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from gateway.exchanges.bindings import Binding, TopicBindings

_COUNT_MAX = 10_000  # More are not remembered one by one.
_PATTERN_TRIES_MAX = 64  # A pattern is not tried on more keys than this: it may fit one of them.

# Might a binding matter to one of these routing keys?
Fits: TypeAlias = "Callable[[Binding, AbstractSet[str]], bool]"


def fits_any(binding: Binding, keys: AbstractSet[str]) -> bool:
    """Of a type that looks at more than keys."""
    return True


def fits_key(binding: Binding, keys: AbstractSet[str]) -> bool:
    """Of a type whose bindings name one key."""
    return binding.routing_key in keys


def fits_pattern(binding: Binding, keys: AbstractSet[str]) -> bool:
    """Of a type whose bindings have patterns, as topic exchanges do."""
    pattern = binding.routing_key
    if "*" not in pattern and "#" not in pattern:
        return pattern in keys
    if len(keys) > _PATTERN_TRIES_MAX:
        return True
    alone = TopicBindings()
    alone.add(binding)
    return any(True for _ in alone.match(tuple(keys), None))


class AskedKeys:
    """Those of one exchange, since the last change that mattered."""

    __slots__ = ("_fits", "_is_any", "_keys")

    def __init__(self, fits: Fits) -> None:
        self._fits = fits
        self._keys: set[str] = set()
        self._is_any = False

    def note(self, routing_keys: Sequence[str]) -> None:
        """A message with these keys is routed, and others like it may follow the same way."""
        if len(self._keys) < _COUNT_MAX:
            self._keys.update(routing_keys)
        else:
            self._is_any = True

    def concern(self, binding: Binding) -> bool:
        """Is there a key that leads elsewhere with this binding than without it, perhaps?"""
        return self._is_any or (bool(self._keys) and self._fits(binding, self._keys))

    def clear(self) -> None:
        """All routes are made anew."""
        self._keys.clear()
        self._is_any = False
