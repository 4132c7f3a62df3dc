"""What a queue and its consumers know of one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from core.light_queue import Taker
from gateway.messages import Message, Value

if TYPE_CHECKING:
    from gateway.queues.queue import Queue

# What a queue adds to the headers of the message at an offset, whenever it is delivered.
Stamp: TypeAlias = "Callable[[int], Mapping[str, Value]]"

# A consumer's argument: while there are such, the first of them gets everything.
IN_LINE_ARGUMENT = "x-rosetta-in-line"


class Delivery(NamedTuple):
    """One message in flight."""

    offset: int
    redelivered: bool
    message: Message
    delivery_count: int


class Consumer(Protocol):
    """One subscriber of a queue, as a front end implements it.

    With `no_ack` the queue settles what it delivers. `counted` is False for those who only wait
    for one answer. `prefetch` is how many messages it has in flight at most, 0 for as many as
    there are. With `shares_credit` a delivery to this one may leave less for others.
    """

    no_ack: bool
    counted: bool
    prefetch: int

    @property
    def take_one(self) -> Taker | None:
        """What takes a new message that comes alone; None if `deliver` is all there is."""

    @property
    def shares_credit(self) -> bool:
        """See above."""

    def credit(self) -> int:
        """How many more messages it takes right now."""

    def deliver(
        self, queue: Queue, first_offset: int, messages: Sequence[Message], redelivered: bool
    ) -> None:
        """Take these messages, whose queue offsets are consecutive from `first_offset` on."""

    def cancelled(self) -> None:
        """The queue is gone, and the subscription with it."""
