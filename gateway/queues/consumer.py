"""What a queue and its consumers know of one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from core.light_queue import Taker
from gateway.exchanges.bindings import Arguments
from gateway.messages import Message, Value
from gateway.queues.selectors import Selects

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


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms somebody consumes.

    He is alone if he is `exclusive`. If he `selects`, or his arguments do, the rest of the messages
    stays for others; so do the other lanes if he wants that of a `level` only.
    """

    exclusive: bool = False
    arguments: Arguments = field(default_factory=dict)
    selects: Selects | None = None
    level: int | None = None

    @property
    def priority(self) -> int:
        """Those of a lower one get what the others have no credit for. It was checked before."""
        priority: Any = self.arguments.get("x-priority", 0)
        return int(priority)

    @property
    def waits_in_line(self) -> bool:
        """Does he let those who came before him have everything?"""
        return self.arguments.get(IN_LINE_ARGUMENT) is True

    @property
    def chooses(self) -> bool:
        """Does he want only some of the messages?"""
        return self.selects is not None or self.level is not None


PLAIN_TERMS = Terms()


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
    def taker(self) -> Taker | None:
        """Who takes new messages past the queue; None if `deliver` is all there is."""

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
