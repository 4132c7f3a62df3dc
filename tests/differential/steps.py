"""What can be done in any protocol: several things at once, and hanging up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Burst(Generic[T]):
    """Several operations of one AMQP channel, or of one STOMP connection, in one write."""

    operations: tuple[T, ...]


@dataclass(frozen=True)
class Drop:
    """The client hangs up without a word."""


def body_of(number: int, size: int) -> bytes:
    """The body of the `number`-th message: recognisable, of exactly this size."""
    return (b"m%d." % number * (size // 3 + 1))[:size]
