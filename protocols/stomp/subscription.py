"""One subscription: a consumer of one queue, and the hot path out.

What is constant in a MESSAGE is prepared: per subscription and envelope everything up to the
delivery tag, per header everything the message says of itself. A delivery only strings these
pieces together; they are joined once, when the connection is flushed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gateway.connections import ConsumerFacts
from gateway.messages import Envelope, Message, Value
from protocols.stomp.codec import encode_header, escape, to_octets
from protocols.stomp.destinations import Kind, show_destination
from protocols.stomp.language import NUMBER, message_headers
from protocols.stomp.outbox import Outbox
from protocols.stomp.stamping import stamp_all
from protocols.stomp.unsettled import Entry, Source, Unsettled

if TYPE_CHECKING:
    from gateway.queues.selectors import Selects

_PREFIX_COUNT_MAX = 256
_FRAME_OVERHEAD_SIZE = 200  # About what a MESSAGE adds to its body.
_UNLIMITED = 1 << 30
_FIRST_SIZE = 32 * 1024  # Taken for the size of a message before any was seen: begin with few.


class AckMode(Enum):
    """The `ack` header of SUBSCRIBE."""

    AUTO = "auto"  # Settled at delivery.
    CLIENT = "client"  # An ACK settles all that went before it, too.
    CLIENT_INDIVIDUAL = "client-individual"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSettings:
    """What a subscription is told at its beginning."""

    tag: str  # RabbitMQ's consumer tag: "T_" and the id, or "Q_" and the destination.
    identifier: str | None
    kind: Kind
    queue: Source
    ack_mode: AckMode
    prefetch_count: int
    arguments: Mapping[str, Value]
    shows_ack: bool
    shows_slashes: bool  # Of names in destinations, instead of "%2F".
    session_id: str
    outbox: Outbox
    unsettled: Unsettled
    on_cancelled: Callable[[Subscription], None]


class Subscription:
    """A consumer (see `gateway.queues.consumer.Consumer`) that writes MESSAGE frames."""

    counted = True
    taker = None
    shares_credit = False

    def __init__(self, settings: SubscriptionSettings) -> None:
        self.tag = settings.tag
        self.identifier = settings.identifier
        self.kind = settings.kind
        self.queue = settings.queue
        self.no_ack = settings.ack_mode is AckMode.AUTO
        self.cumulative = settings.ack_mode is AckMode.CLIENT
        self.unsettled_count = 0
        self.prefetch = settings.prefetch_count
        self.arguments = settings.arguments
        self._prefetch_count = settings.prefetch_count or _UNLIMITED
        self._outbox = settings.outbox
        self._unsettled = settings.unsettled
        self._on_cancelled = settings.on_cancelled
        self._ended = False
        self._left = False
        self._message_id = to_octets(escape(f"{self.tag}@@{settings.session_id}@@"))
        self._shows_ack = settings.shows_ack and not self.no_ack
        self._shows_slashes = settings.shows_slashes
        self._prefixes: dict[Envelope, bytes] = {}
        self._last_size = _FIRST_SIZE

    def facts(self) -> ConsumerFacts:
        """What an operator sees of it."""
        return ConsumerFacts(
            self.tag, self.queue.name, self.no_ack, self.prefetch, arguments=self.arguments
        )

    @property
    def description(self) -> str:
        """How an ERROR names this subscription."""
        return describe(self.tag)

    def credit(self) -> int:
        """How many more messages it takes now: what its prefetch and the outbox leave."""
        outbox = self._outbox
        room = outbox.room
        if self._ended:
            return 0
        if room <= 0:
            outbox.starved = True
            return 0
        fitting = 1 + room // self._last_size
        left = self._prefetch_count if self.no_ack else self._prefetch_count - self.unsettled_count
        if fitting < left:
            outbox.starved = True
            return fitting
        return left

    def deliver(
        self, queue: Source, first_offset: int, messages: Sequence[Message], redelivered: bool
    ) -> None:
        """Queue MESSAGE frames for consecutive offsets from `first_offset` on."""
        outbox, unsettled = self._outbox, self._unsettled
        pieces = outbox.pieces
        prefixes = self._prefixes
        flags = b"\nredelivered:true\n" if redelivered else b"\nredelivered:false\n"
        ack = flags + b"ack:" + self._message_id if self._shows_ack else b""
        tag = first_tag = unsettled.last_tag
        size = 0
        if queue.stamp is not None:
            messages = stamp_all(messages, queue.stamp, first_offset)
        for envelope, header, body in messages:
            tag += 1
            prefix = prefixes.get(envelope) or self._prefix(envelope)
            own = header.translated.get(NUMBER) or message_headers(header)
            number = b"%d" % tag
            if ack:
                pieces += (prefix, number, ack, number, b"\n", own)
            else:
                pieces += (prefix, number, flags, own)
            if body:
                pieces += (b"content-length:%d\n\n" % len(body), body, b"\0\n")
                size += len(body) + _FRAME_OVERHEAD_SIZE
            else:
                pieces.append(b"\n\0\n")
                size += _FRAME_OVERHEAD_SIZE
        unsettled.last_tag = tag
        if not self.no_ack:
            entries = unsettled.entries
            for index in range(tag - first_tag):
                entries[first_tag + 1 + index] = Entry(self, queue, first_offset + index)
            self.unsettled_count += tag - first_tag
        outbox.room -= size
        self._last_size = size // (len(messages) or 1) or 1
        outbox.wake()

    def cancelled(self) -> None:
        """The queue was deleted under it."""
        self._ended = self._left = True
        self._on_cancelled(self)

    def end_taking(self) -> None:
        """Take no more; the queue is told by `end`, when what was taken is given back."""
        self._ended = True

    def end(self) -> None:
        """Leave the queue."""
        self._ended = True
        if not self._left:
            self._left = True
            self.queue.unsubscribe(self)

    def _prefix(self, envelope: Envelope) -> bytes:
        """A MESSAGE up to its delivery tag."""
        lines = ["MESSAGE\n"]
        if self.identifier is not None:
            lines.append(encode_header("subscription", self.identifier))
        destination = show_destination(
            envelope.exchange, envelope.routing_key, shows_slashes=self._shows_slashes
        )
        lines += [encode_header("destination", destination), "message-id:"]
        if len(self._prefixes) >= _PREFIX_COUNT_MAX:
            self._prefixes.clear()
        prefix = self._prefixes[envelope] = to_octets("".join(lines)) + self._message_id
        return prefix


class SelectiveSubscription(Subscription):
    """One that reads a queue of its own, and drops what it does not want."""

    def __init__(self, settings: SubscriptionSettings, selects: Selects) -> None:
        super().__init__(settings)
        self._selects = selects

    def deliver(
        self, queue: Source, first_offset: int, messages: Sequence[Message], redelivered: bool
    ) -> None:
        """See above."""
        run: list[Message] = []
        for offset, message in enumerate(messages, first_offset):
            if self._selects(message):
                run.append(message)
                continue
            if run:
                super().deliver(queue, offset - len(run), run, redelivered)
                run = []
            if not self.no_ack:
                queue.settle(offset, offset + 1)
        if run:
            super().deliver(queue, first_offset + len(messages) - len(run), run, redelivered)


def consumer_tag(identifier: str | None, destination: str) -> str:
    """RabbitMQ's name for a subscription."""
    return f"Q_{destination}" if identifier is None else f"T_{identifier}"


def describe(tag: str) -> str:
    """How an ERROR names the subscription of this consumer tag."""
    return f"id='{tag[2:]}'" if tag.startswith("T_") else f"destination='{tag[2:]}'"
