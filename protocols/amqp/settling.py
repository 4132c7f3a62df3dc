"""What becomes of a channel's deliveries: they are acknowledged, rejected or given back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias
from weakref import proxy

from gateway.queues.queue import Queue
from protocols.amqp.codec import ACK, END_OCTET, FRAME_HEAD, METHOD
from protocols.amqp.delivering import Subscription
from protocols.amqp.replies import AmqpError

if TYPE_CHECKING:
    from protocols.amqp.channel import Channel

_ACK_FRAME = Struct(">11sQBB")  # Everything before the tag; tag; bits; end octet.
assert _ACK_FRAME.size == 21


class Fetched:
    """What basic.get took from a queue: outstanding, but nobody's subscription."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    def give_credit(self, count: int) -> None:
        """Nobody's limit counts what basic.get took."""


Holder: TypeAlias = "Subscription | Fetched"
Outstanding: TypeAlias = "tuple[Holder, int]"  # Who has the delivery, and its queue offset.


class Settling:
    """Settles what a channel has outstanding, by delivery tags."""

    __slots__ = ("_ack_prefix", "_channel", "_unacknowledged")

    _channel: Channel

    def __init__(self, channel: Channel) -> None:
        # It has us; a circle would keep a closed connection until the garbage collector comes.
        self._channel = proxy(channel)
        self._unacknowledged = channel.unacknowledged
        self._ack_prefix = FRAME_HEAD.pack(METHOD, channel.number, 13) + ACK

    def is_ack(self, data: bytes, position: int) -> bool:
        """Does a whole basic.ack of this channel stand at `position`?"""
        return data.startswith(self._ack_prefix, position) and (
            len(data) - position >= _ACK_FRAME.size
        )

    def receive_acks(self, data: bytes, position: int) -> int:
        """Settle for the run of basic.ack frames at `position`; return where it ends.

        Hot path: consecutive offsets of one holder are settled together.
        """
        prefix = self._ack_prefix
        end = position + (len(data) - position) // _ACK_FRAME.size * _ACK_FRAME.size
        unacknowledged = self._unacknowledged
        holder: Holder | None = None
        start = stop = 0
        try:
            for head, tag, bits, octet in _ACK_FRAME.iter_unpack(memoryview(data)[position:end]):
                if head != prefix or octet != END_OCTET:
                    break
                position += _ACK_FRAME.size
                if bits & 1:
                    if holder is not None:
                        holder.give_credit(stop - start)
                        holder.queue.settle(start, stop)
                        holder = None
                    self.acknowledge(tag, True)
                    continue
                outstanding = unacknowledged.pop(tag, None)
                if outstanding is None:
                    raise _unknown_tag(tag, 80)
                if outstanding[0] is holder and outstanding[1] == stop:
                    stop += 1
                    continue
                if holder is not None:
                    holder.give_credit(stop - start)
                    holder.queue.settle(start, stop)
                holder, start = outstanding
                stop = start + 1
        finally:
            if holder is not None:
                holder.give_credit(stop - start)
                holder.queue.settle(start, stop)
        return position

    def acknowledge(self, tag: int, multiple: bool) -> None:
        """basic.ack. Raises `AmqpError` for a tag that is not outstanding."""
        self._settle_taken(self._pop(tag, multiple, 80), None)

    def reject(self, tag: int, multiple: bool, requeue: bool, method: int) -> None:
        """basic.nack and basic.reject. Raises `AmqpError` for a tag that is not outstanding."""
        self._settle_taken(self._pop(tag, multiple, method), requeue)

    def recover(self) -> None:
        """Requeue everything that is outstanding."""
        outstanding = list(self._unacknowledged.values())
        self._unacknowledged.clear()
        self.settle(outstanding, True)

    def restore(self, outstanding: dict[int, Outstanding]) -> None:
        """What a transaction had settled is outstanding again."""
        every = sorted((outstanding | self._unacknowledged).items())
        self._unacknowledged.clear()
        self._unacknowledged.update(every)

    def settle(self, outstanding: Iterable[Outstanding], requeue: bool | None) -> None:
        """Acknowledge (`requeue` is None) or reject. Raises `OSError` as `Queue.reject` does."""
        refusal: OSError | None = None
        for holder, start, stop in _runs(outstanding):
            holder.give_credit(stop - start)
            if requeue is None:
                holder.queue.settle(start, stop)
            elif requeue:
                holder.queue.release(range(start, stop))
            else:
                try:
                    holder.queue.reject(range(start, stop))
                except OSError as error:  # No room for a dead letter: this and the rest go back.
                    holder.queue.release(range(start, stop))
                    refusal, requeue = error, True
        if refusal is not None:
            raise refusal

    # The rest is private

    def _settle_taken(self, taken: dict[int, Outstanding], requeue: bool | None) -> None:
        """Now, or at the next commit."""
        if self._channel.transaction is None:
            self.settle(taken.values(), requeue)
        else:
            self._channel.transaction.settle(taken, requeue)

    def _pop(self, tag: int, multiple: bool, method: int) -> dict[int, Outstanding]:
        unacknowledged = self._unacknowledged
        if not multiple:
            outstanding = unacknowledged.pop(tag, None)
            if outstanding is None:
                raise _unknown_tag(tag, method)
            return {tag: outstanding}
        if tag and tag not in unacknowledged:
            raise _unknown_tag(tag, method)
        # Tags are given out in order, so the dict is sorted by them.
        tags = list(
            takewhile(lambda known: known <= tag, unacknowledged) if tag else unacknowledged
        )
        return {known: unacknowledged.pop(known) for known in tags}


def _runs(outstanding: Iterable[Outstanding]) -> list[tuple[Holder, int, int]]:
    """Join consecutive offsets of one holder."""
    runs: list[tuple[Holder, int, int]] = []
    for holder, offset in outstanding:
        if runs and runs[-1][0] is holder and runs[-1][2] == offset:
            runs[-1] = (holder, runs[-1][1], offset + 1)
        else:
            runs.append((holder, offset, offset + 1))
    return runs


def _unknown_tag(tag: int, method: int) -> AmqpError:
    return AmqpError("PRECONDITION_FAILED", f"unknown delivery tag {tag}", (60, method))
