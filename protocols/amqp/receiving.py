"""The hot path out for many queues: subscriptions of one channel take their messages at once.

Each message goes out as from `Subscription.deliver`, but what is outstanding is remembered of all
as one batch: its delivery tags are consecutive, and mostly they are acknowledged in that order.
Then an acknowledgement is a step ahead in the oldest batch. Any other one has the batches entered
into their queues first (see `core.handing`): their messages are outstanding one by one then.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING
from weakref import proxy

from core.handing import Handed
from gateway.messages import Message
from protocols.amqp.codec import ACK, END, END_OCTET, FRAME_HEAD, METHOD
from protocols.amqp.delivering import Subscription, pack_tag

if TYPE_CHECKING:
    from protocols.amqp.channel import Channel

ACK_FRAME = Struct(">11sQBB")  # Everything before the tag; tag; bits; end octet.
assert ACK_FRAME.size == 21


def ack_prefix(channel_number: int) -> bytes:
    """Everything of a basic.ack frame before the tag."""
    return FRAME_HEAD.pack(METHOD, channel_number, 13) + ACK


class Receiver:
    """The subscriptions of a channel that acknowledge alike, and have the same prefetch."""

    def __init__(self, channel: Channel, no_ack: bool, prefetch: int) -> None:
        self.settles = no_ack
        self._channel = channel  # A weak one: it has our batches, which have us.
        self._prefetch = 0 if no_ack else prefetch
        # None of the subscriptions has more outstanding than this, besides what is so one by one.
        self._depth = 0

    @property
    def is_open(self) -> bool:
        """May messages come, as far as it is not up to a single subscription?"""
        return not (self._channel.prefetch or self._channel.connection.paused)

    def take_all(self, handed: Handed, messages: Sequence[Message]) -> bool:
        """Take all of these messages, if all the subscriptions have credit."""
        channel = self._channel
        takers: Sequence[Subscription] = handed.takers
        if not self.is_open or (self._prefetch and not self._has_credit(handed)):
            return False
        output = channel.output
        tag = channel.delivery_tag
        if not self.settles:
            self._depth += handed.depth
            handed.number = tag + 1
            channel.batches.add(handed)
        for subscription, (envelope, header, body) in zip(takers, messages, strict=True):
            tag += 1
            kept_envelope, kept_header, size, start, middle = subscription.kept
            if envelope is not kept_envelope or header is not kept_header or len(body) != size:
                if not 0 < len(body) <= channel.body_size_max:
                    subscription.deliver_odd(tag, envelope, header, body, False)
                    continue
                start, middle = subscription.keep_parts(envelope, header, len(body))
            output += (start, pack_tag(tag), middle, body, END)
        channel.delivery_tag = tag
        channel.wake()
        return True

    def done(self, handed: Handed) -> None:
        """Nothing of it is outstanding as a batch any more."""
        self._depth -= handed.depth
        self._channel.batches.remove(handed)

    def entered(self, handed: Handed, offsets: Sequence[int]) -> None:
        """What is not acknowledged is in flight one by one from now on."""
        self.done(handed)
        takers: Sequence[Subscription] = handed.takers[handed.settled_count :]
        for subscription in takers:
            subscription.in_flight_count += 1
        self._channel.in_flight_count += len(takers)
        first_tag = handed.number + handed.settled_count
        self._channel.settling.add(first_tag, zip(takers, offsets, strict=True))

    def _has_credit(self, handed: Handed) -> bool:
        """Would none of the subscriptions exceed its prefetch? Notes how much one gets at most."""
        if self._depth >= self._prefetch:
            return False
        takers: Sequence[Subscription] = handed.takers
        handed.depth = 1
        if len(set(takers)) < len(takers):
            handed.depth = max(Counter(takers).values())
        room = self._prefetch - self._depth - handed.depth
        if room < 0 or not self._channel.unacknowledged:
            return room >= 0
        return all([subscription.in_flight_count <= room for subscription in takers])  # noqa: C419


class Batches:
    """The batches that a channel has outstanding, oldest first, and who took them."""

    def __init__(self, channel: Channel) -> None:
        # It has us; a circle would keep a closed connection until the garbage collector comes.
        self._channel: Channel = proxy(channel)
        self._handing = channel.connection.gateway.broker.handing
        self._ack_prefix = ack_prefix(channel.number)
        self._receivers: dict[tuple[bool, int], Receiver] = {}
        self._outstanding: deque[Handed] = deque()
        self._acks_count = 1  # So many came one after the other the last time.

    def receiver(self, no_ack: bool, prefetch: int) -> Receiver:
        """The one of all subscriptions of this kind."""
        key = no_ack, prefetch
        if key not in self._receivers:
            self._receivers[key] = Receiver(self._channel, *key)
        return self._receivers[key]

    @property
    def left_count(self) -> int:
        """How many messages are outstanding in batches."""
        return sum(handed.left_count for handed in self._outstanding)

    @property
    def next_tag(self) -> int:
        """The delivery tag of the oldest of them; 0 if there is none."""
        if not self._outstanding:
            return 0
        return self._outstanding[0].number + self._outstanding[0].settled_count

    def add(self, handed: Handed) -> None:
        """A batch was taken."""
        self._outstanding.append(handed)

    def remove(self, handed: Handed) -> None:
        """Its messages are outstanding one by one."""
        self._outstanding.remove(handed)

    def enter(self) -> None:
        """All that is outstanding is so one by one from now on."""
        if self._outstanding:
            self._handing.enter_all()

    def receive_acks(self, data: bytes, position: int) -> int:
        """Settle for the basic.ack frames at `position` that come in order; where do they end?"""
        while self._outstanding:
            oldest = self._outstanding[0]
            count = self._count_acks(data, position, self.next_tag, oldest.left_count)
            if not count:
                break
            position += count * ACK_FRAME.size
            self._handing.settle(oldest, count)
        return position

    def _count_acks(self, data: bytes, position: int, tag: int, count_max: int) -> int:
        """How many basic.ack frames, at most, stand here for one tag after the other?

        As many as the last time are compared at once, then more: the next one may be for another
        channel.
        """
        size = ACK_FRAME.size
        count, step = 0, self._acks_count
        count_max = min(count_max, (len(data) - position) // size)
        while count < count_max and data.startswith(self._ack_prefix, position):
            step = min(step, count_max - count)
            if data.startswith(self._acks(tag + count, step), position):
                position += step * size
                count += step
                step *= 2
            else:
                count_max = count + step - 1
                step //= 2
        self._acks_count = max(1, count)
        return count

    def _acks(self, tag: int, count: int) -> bytes:
        """So many basic.ack frames, from this tag on."""
        prefixes = repeat(self._ack_prefix, count)
        tags = range(tag, tag + count)
        return b"".join(map(ACK_FRAME.pack, prefixes, tags, repeat(0), repeat(END_OCTET)))
