"""The scenarios: what must hold between every client that writes and every client that reads.

A scenario is a function of the clients that yields one `Outcome` per cell of its matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.demo.sample import Client


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pair of clients came to; no problem means that it holds."""

    row: str
    column: str
    problems: Sequence[str] = ()


Scenario: TypeAlias = Callable[[Sequence[Client]], Iterator[Outcome]]


def queue_name(scenario: str, one: Client, other: Client) -> str:
    """Name a queue of its own for a pair; RocketMQ's topics have no dot in their names."""
    return f"{scenario}-{one.name}-{other.name}".replace(".", "-")


def all_scenarios() -> Mapping[str, Scenario]:
    """By the title of their matrix, in the order in which they run."""
    from interop.scenarios.directions import directions
    from interop.scenarios.shared_queue import given_back, shared_acknowledgements

    return {
        "published by (row), read by (column): every property": directions,
        "acknowledged by (row), not seen again by (column)": shared_acknowledgements,
        "left unacknowledged by (row), redelivered to (column)": given_back,
    }
