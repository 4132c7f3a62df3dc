"""Exchanges that spread messages by a hash: what is equal goes to the same destination.

A hash is never kept: it only has to be the same in every process and on every machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING

from core.route import DependsOn
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments, Binding, Destination, freeze

if TYPE_CHECKING:
    from gateway.messages import Header

HASH_HEADER, HASH_PROPERTY = "hash-header", "hash-property"
_PROPERTIES = ("correlation_id", "message_id", "timestamp")
_MULTIPLIER = 2862933555777941757  # Of the generator in the paper on jump hashing.
_MASK = (1 << 64) - 1


def check_hash(arguments: Arguments) -> None:
    """Raise `PreconditionFailedError` for arguments that x-consistent-hash refuses."""
    header, property_name = arguments.get(HASH_HEADER), arguments.get(HASH_PROPERTY)
    if header is not None and property_name is not None:
        raise PreconditionFailedError(f"{HASH_HEADER} and {HASH_PROPERTY} are mutually exclusive")
    if property_name is not None and property_name not in _PROPERTIES:
        raise PreconditionFailedError(f"Unsupported property: {property_name}")
    if header is not None and not isinstance(header, str):
        raise PreconditionFailedError(f"Unsupported header: {header}")


class ConsistentHashBindings:
    """The binding key is a weight: how many buckets a destination has.

    A message goes to one destination. When a destination comes or goes, few messages change theirs.
    The first binding of a destination counts, and any unbinding takes the destination out, as in
    RabbitMQ.
    """

    def __init__(self, arguments: Arguments) -> None:
        header, property_name = arguments.get(HASH_HEADER), arguments.get(HASH_PROPERTY)
        self._header = header if isinstance(header, str) else None
        self._property = property_name if property_name in _PROPERTIES else None
        by_key = self._header is None and self._property is None
        self.depends_on = DependsOn.KEY if by_key else DependsOn.HEADER
        self._weights: dict[Destination, int] = {}
        self._destinations: list[Destination] = []
        self._ends: list[int] = []  # Behind the last bucket of each destination.

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet. Raises `PreconditionFailedError`."""
        weight = _weight(binding.routing_key)
        self._weights.setdefault(binding.destination, weight)
        self._ends.clear()

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        self._weights.pop(binding.destination, None)
        self._ends.clear()

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """The one destination in whose bucket the message falls."""
        if not self._weights:
            return ()
        if not self._ends:
            self._destinations = list(self._weights)
            self._ends = list(accumulate(self._weights.values()))
        bucket = jump_hash(stable_hash(self._hashed(routing_keys, header)), self._ends[-1])
        return (self._destinations[bisect_right(self._ends, bucket)],)

    def _hashed(self, routing_keys: Sequence[str], header: Header | None) -> object:
        if self._header is not None:
            return header and header.properties.headers.get(self._header)
        if self._property is not None:
            return header and getattr(header.properties, str(self._property))
        return routing_keys[0]


class ModulusHashBindings:
    """A message goes along one of the bindings, by the hash of its routing key."""

    depends_on = DependsOn.KEY

    def __init__(self) -> None:
        self._bindings: dict[Binding, None] = {}
        self._destinations: list[Destination] = []

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""
        self._bindings[binding] = None
        self._destinations.clear()

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        del self._bindings[binding]
        self._destinations.clear()

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """The destination of one binding."""
        if not self._bindings:
            return ()
        if not self._destinations:
            self._destinations = [binding.destination for binding in self._bindings]
        return (self._destinations[stable_hash(routing_keys[0]) % len(self._destinations)],)


def stable_hash(value: object) -> int:
    """64 bits that depend on nothing but the value."""
    data = value if isinstance(value, str) else repr(freeze(value))
    digest = blake2b(data.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def jump_hash(key: int, bucket_count: int) -> int:
    """The bucket of a key (Lamping and Veach, "A fast, minimal memory, consistent hash")."""
    bucket, jump = -1, 0
    while jump < bucket_count:
        bucket = jump
        key = (key * _MULTIPLIER + 1) & _MASK
        jump = (bucket + 1) * (1 << 31) // ((key >> 33) + 1)
    return bucket


def _weight(routing_key: str) -> int:
    digits = routing_key.removeprefix("+") if routing_key[:2] != "+-" else routing_key
    number = digits.removeprefix("-")
    if not (number.isascii() and number.isdigit() and len(number) < 20):
        raise PreconditionFailedError(f"The binding key must be an integer: {_binary(routing_key)}")
    weight = int(digits)
    if weight < 1:
        raise PreconditionFailedError("The binding key must be greater than 0")
    return weight


def _binary(text: str) -> str:
    return f'<<"{text}">>' if text else "<<>>"
