"""The hot path out: a subscription turns messages into basic.deliver, header and body frames.

A delivery is four pieces, joined with all others once per flush:

    start   basic.deliver up to the consumer tag      same for all messages sent to one place
    tag     the delivery tag, 8 bytes
    middle  the rest of basic.deliver, the content header frame, the head of the body frame
    body    and the end octet

`start` and `middle` are kept from one message to the next while envelope, header and body size
stay the same.

What comes while nothing waits goes past its queue (see `core.handing`): a batch of messages for
many queues goes at once to the subscriptions of one channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from gateway.connections import ConsumerFacts
from gateway.exchanges.bindings import Arguments
from gateway.messages import Envelope, Header, Message
from gateway.queues.queue import Queue
from protocols.amqp.codec import (
    BODY,
    DELIVER,
    END,
    FRAME_HEAD,
    FRAME_OVERHEAD,
    HEADER,
    METHOD,
    encode_frame,
)
from protocols.amqp.fields import encode_name, encode_short
from protocols.amqp.language import raw_properties
from protocols.amqp.stamping import stamp_all

if TYPE_CHECKING:
    from core.light_queue import Taker
    from protocols.amqp.channel import Channel

pack_tag = Struct(">Q").pack
_CREDIT_WITHOUT_ACK = 1 << 30

# What is kept of the last delivery: its envelope, its header, its body's size; start and middle.
Kept: TypeAlias = "tuple[Envelope | None, Header | None, int, bytes, bytes]"
_NOTHING: Kept = (None, None, -1, b"", b"")


def content_frames(channel: int, header: Header, body: bytes, frame_max: int) -> Iterator[bytes]:
    """The content header frame, and the body in frames of at most `frame_max` octets."""
    yield encode_frame(HEADER, channel, content_header(header, len(body)))
    part_size = frame_max - FRAME_OVERHEAD if frame_max else max(1, len(body))
    for start in range(0, len(body), part_size):
        yield encode_frame(BODY, channel, body[start : start + part_size])


def content_header(header: Header, body_size: int) -> bytes:
    """The payload of a content header frame, in AMQP whatever the header's own language."""
    return b"\x00\x3c\x00\x00" + body_size.to_bytes(8, "big") + raw_properties(header)


class Subscription:
    """A consumer of one channel; a member of its queue's group."""

    __slots__ = (
        "_encoded_tag",
        "arguments",
        "channel",
        "in_flight_count",
        "kept",
        "no_ack",
        "prefetch",
        "queue",
        "receiver",
        "tag",
    )

    counted = True

    def __init__(
        self,
        channel: Channel,
        tag: str,
        queue: Queue,
        no_ack: bool,
        prefetch: int,
        arguments: Arguments,
    ) -> None:
        self.channel = channel
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack
        self.prefetch = prefetch  # 0 is unlimited.
        self.arguments = arguments
        self.in_flight_count = 0
        self.receiver = channel.batches.receiver(no_ack, prefetch)
        self.kept: Kept = _NOTHING
        self._encoded_tag = encode_short(encode_name(tag))

    def facts(self) -> ConsumerFacts:
        """What an operator sees of it."""
        queue = self.queue
        return ConsumerFacts(
            self.tag,
            queue.name,
            self.no_ack,
            self.prefetch,
            queue.is_exclusive_to(self),
            queue.is_single_active(self),
            self.arguments,
        )

    def credit(self) -> int:
        """How many more messages this consumer takes now."""
        channel = self.channel
        connection = channel.connection
        if connection.paused:
            connection.starved[self] = None
            return 0
        credit = _CREDIT_WITHOUT_ACK
        if self.prefetch and not self.no_ack:
            credit = self.prefetch - self.in_flight_count
        if channel.prefetch and self.queue.heeds_shared_credit:
            shared = channel.prefetch - channel.in_flight_count
            if shared <= 0 or not self.no_ack:  # Who never acknowledges has to wait, too.
                credit = min(credit, shared)
        return credit

    @property
    def shares_credit(self) -> bool:
        """Does the channel have a prefetch, for all its subscriptions together?"""
        return bool(self.channel.prefetch) and not self.no_ack

    def deliver(
        self, queue: Queue, first_offset: int, messages: Sequence[Message], redelivered: bool
    ) -> None:
        """Queue the frames of these messages, and remember them until they are acknowledged."""
        if queue.stamp is not None:
            messages = stamp_all(messages, queue.stamp, first_offset)
        channel = self.channel
        output = channel.output
        tag = channel.delivery_tag
        # The kept parts are for first deliveries.
        envelope, header, size, start, middle = _NOTHING if redelivered else self.kept
        for message_envelope, message_header, body in messages:
            tag += 1
            if (
                message_envelope is not envelope
                or message_header is not header
                or len(body) != size
            ):
                if not 0 < len(body) <= channel.body_size_max:
                    self.deliver_odd(tag, message_envelope, message_header, body, redelivered)
                    continue
                envelope, header, size = message_envelope, message_header, len(body)
                start, middle = self._parts(envelope, header, size, redelivered)
            output += (start, pack_tag(tag), middle, body, END)
        count = len(messages)
        if not self.no_ack:
            self.in_flight_count += count
            channel.in_flight_count += count
            channel.unacknowledged.update(
                zip(
                    range(channel.delivery_tag + 1, tag + 1),
                    zip(repeat(self), range(first_offset, first_offset + count), strict=False),
                    strict=True,
                )
            )
        channel.delivery_tag = tag
        if not redelivered:
            self.kept = envelope, header, size, start, middle
        channel.wake()

    def deliver_odd(
        self, tag: int, envelope: Envelope, header: Header, body: bytes, redelivered: bool
    ) -> None:
        """A body that is empty, or in several frames: no part of it is kept."""
        channel = self.channel
        start, middle = self._parts(envelope, header, len(body), redelivered)
        channel.output += (start, pack_tag(tag), middle)
        if body:
            channel.output += content_frames(channel.number, header, body, channel.frame_max)

    def keep_parts(self, envelope: Envelope, header: Header, size: int) -> tuple[bytes, bytes]:
        """The start and the middle of first deliveries of this kind, from now on kept."""
        start, middle = self._parts(envelope, header, size, False)
        self.kept = envelope, header, size, start, middle
        return start, middle

    def take_one(self, offset: int, message: Message) -> bool:
        """Take one message that has just come, as in `deliver`, if there is credit for it."""
        if not self.receiver.is_open or (self.in_flight_count >= self.prefetch and self.prefetch):
            return False
        envelope, header, body = message
        kept_envelope, kept_header, size, start, middle = self.kept
        if envelope is not kept_envelope or header is not kept_header or len(body) != size:
            self.deliver(self.queue, offset, [message], False)
            return True
        channel = self.channel
        channel.wake()
        tag = channel.delivery_tag = channel.delivery_tag + 1
        channel.output += (start, pack_tag(tag), middle, body, END)
        if not self.no_ack:
            self.in_flight_count += 1
            channel.in_flight_count += 1
            channel.unacknowledged[tag] = (self, offset)
        return True

    @property
    def taker(self) -> Taker:
        """It takes what comes past the queue itself."""
        return self

    def give_credit(self, count: int) -> None:
        """So many of its messages are not in flight any more."""
        channel = self.channel
        was_full = self.in_flight_count == self.prefetch
        self.in_flight_count -= count
        channel.in_flight_count -= count
        if channel.prefetch:
            channel.wake_subscriptions(self)
        elif was_full:  # Else the queue has not waited for it.
            self.queue.wake()

    def cancelled(self) -> None:
        """The queue is gone: tell the client, if it wants to know."""
        self.channel.subscription_cancelled(self)

    def _parts(
        self, envelope: Envelope, header: Header, size: int, redelivered: bool
    ) -> tuple[bytes, bytes]:
        """Everything of a delivery but tag and body; no content if the body needs many frames."""
        number = self.channel.number
        start = DELIVER + self._encoded_tag
        rest = b"%c%b%b" % (
            redelivered,
            encode_short(encode_name(envelope.exchange)),
            encode_short(encode_name(envelope.routing_key)),
        )
        start = FRAME_HEAD.pack(METHOD, number, len(start) + 8 + len(rest)) + start
        middle = rest + END
        if size <= self.channel.body_size_max:
            middle += encode_frame(HEADER, number, content_header(header, size))
            if size:
                middle += FRAME_HEAD.pack(BODY, number, size)
        return start, middle
