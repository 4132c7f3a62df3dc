"""What a transactional channel has published and settled since tx.select, or the last end of one.

Where a message goes is decided when it is published; that it goes there, at tx.commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from core.route import Route
from gateway.messages import Item, Message
from protocols.amqp.language import encode_stored

if TYPE_CHECKING:
    from protocols.amqp.settling import Outstanding

_MESSAGE_OVERHEAD = 500  # What a message costs in memory beside its bytes, about.


class Publish(NamedTuple):
    """One message, and where it will go."""

    route: Route
    message: Message
    mandatory: bool

    @property
    def size(self) -> int:
        """About how many bytes of memory it costs."""
        _, header, body = self.message
        return len(header.raw) + len(body) + _MESSAGE_OVERHEAD

    @property
    def is_kept(self) -> bool:
        """Would a restart bring it back?"""
        return self.route.keeps(self.message[1].persistent)


class Settlement(NamedTuple):
    """One delivery that is acknowledged (`requeue` is None) or rejected."""

    tag: int
    outstanding: Outstanding
    requeue: bool | None


class Transaction:
    """One transaction; `size` is about what its messages cost in memory."""

    def __init__(self) -> None:
        self.publishes: list[Publish] = []
        self.settlements: list[Settlement] = []
        self.size = 0

    def publish(self, publish: Publish) -> None:
        """Remember a message."""
        self.publishes.append(publish)
        self.size += publish.size

    def settle(self, taken: dict[int, Outstanding], requeue: bool | None) -> None:
        """Remember that deliveries are acknowledged or rejected."""
        self.settlements += [
            Settlement(tag, outstanding, requeue) for tag, outstanding in taken.items()
        ]

    def items(self) -> list[Item]:
        """All messages that go somewhere, with their stored forms."""
        return [
            (route, message, encode_stored(message[0], message[1].raw, message[2]))
            for route, message, _ in self.publishes
            if route.queues or route.waits
        ]

    def unroutable(self) -> Iterator[Message]:
        """The mandatory messages that found no queue."""
        return (
            publish.message
            for publish in self.publishes
            if publish.mandatory and publish.route.is_unroutable
        )

    def settled(self) -> Iterator[tuple[bool | None, list[Outstanding]]]:
        """What was settled, in its order, those of one kind together."""
        for requeue, run in groupby(self.settlements, lambda settlement: settlement.requeue):
            yield requeue, [settlement.outstanding for settlement in run]
