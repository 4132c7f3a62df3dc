"""What becomes of a channel's deliveries: they are acknowledged, rejected or given back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import TYPE_CHECKING, TypeAlias
from weakref import proxy

from gateway.queues.queue import Queue
from protocols.amqp.codec import END_OCTET
from protocols.amqp.delivering import Subscription
from protocols.amqp.receiving import ACK_FRAME, ack_prefix
from protocols.amqp.replies import AmqpError

if TYPE_CHECKING:
    from protocols.amqp.channel import Channel


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

    __slots__ = ("_ack_prefix", "_channel", "_is_sorted", "_unacknowledged")

    _channel: Channel

    def __init__(self, channel: Channel) -> None:
        # It has us; a circle would keep a closed connection until the garbage collector comes.
        self._channel = proxy(channel)
        self._unacknowledged = channel.unacknowledged
        self._is_sorted = True  # Is it, by the tags?
        self._ack_prefix = ack_prefix(channel.number)

    def is_ack(self, data: bytes, position: int) -> bool:
        """Does a whole basic.ack of this channel stand at `position`?"""
        return data.startswith(self._ack_prefix, position) and (
            len(data) - position >= ACK_FRAME.size
        )

    def receive_acks(self, data: bytes, position: int) -> int:
        """Settle for the run of basic.ack frames at `position`; return where it ends.

        Hot path: consecutive offsets of one holder are settled together.
        """
        batches = self._channel.batches
        following = batches.receive_acks(data, position)
        if following > position:
            return following
        prefix = self._ack_prefix
        end = position + (len(data) - position) // ACK_FRAME.size * ACK_FRAME.size
        unacknowledged = self._unacknowledged
        holder: Holder | None = None
        start = stop = 0
        try:
            for head, tag, bits, octet in ACK_FRAME.iter_unpack(memoryview(data)[position:end]):
                if head != prefix or octet != END_OCTET:
                    break
                if bits & 1:
                    _settle(holder, start, stop)
                    holder = None
                    self.acknowledge(tag, True)
                else:
                    outstanding = unacknowledged.pop(tag, None)
                    if outstanding is None:
                        if tag == batches.next_tag:
                            break
                        outstanding = self._pop(tag, False, 80)[tag]
                    if outstanding[0] is holder and outstanding[1] == stop:
                        stop += 1
                    else:
                        _settle(holder, start, stop)
                        holder, start = outstanding
                        stop = start + 1
                position += ACK_FRAME.size
        finally:
            _settle(holder, start, stop)
        return position

    def add(self, first_tag: int, deliveries: Iterable[Outstanding]) -> None:
        """These deliveries, whose tags are consecutive, are outstanding."""
        unacknowledged = self._unacknowledged
        if next(reversed(unacknowledged), 0) > first_tag:
            self._is_sorted = False  # Many may come like this; it is sorted when that matters.
        unacknowledged.update(enumerate(deliveries, first_tag))

    def acknowledge(self, tag: int, multiple: bool) -> None:
        """basic.ack. Raises `AmqpError` for a tag that is not outstanding."""
        self._settle_taken(self._pop(tag, multiple, 80), None)

    def reject(self, tag: int, multiple: bool, requeue: bool, method: int) -> None:
        """basic.nack and basic.reject. Raises `AmqpError` for a tag that is not outstanding."""
        self._settle_taken(self._pop(tag, multiple, method), requeue)

    def recover(self) -> None:
        """Requeue everything that is outstanding."""
        self.enter()
        outstanding = list(self._unacknowledged.values())
        self._unacknowledged.clear()
        self.settle(outstanding, True)

    def restore(self, outstanding: dict[int, Outstanding]) -> None:
        """What a transaction had settled is outstanding again."""
        self._unacknowledged.update(outstanding)
        self._is_sorted = False

    def enter(self) -> None:
        """All that is outstanding is so one by one from now on, in the order of the tags."""
        self._channel.batches.enter()
        if not self._is_sorted:
            every = sorted(self._unacknowledged.items())
            self._unacknowledged.clear()
            self._unacknowledged.update(every)
            self._is_sorted = True

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
            self._channel.batches.enter()
            outstanding = unacknowledged.pop(tag, None)
            if outstanding is None:
                raise _unknown_tag(tag, method)
            return {tag: outstanding}
        self.enter()
        if tag and tag not in unacknowledged:
            raise _unknown_tag(tag, method)
        tags = list(
            takewhile(lambda known: known <= tag, unacknowledged) if tag else unacknowledged
        )
        return {known: unacknowledged.pop(known) for known in tags}


def _settle(holder: Holder | None, start: int, stop: int) -> None:
    """A run of deliveries is acknowledged, if there is one."""
    if holder is not None:
        holder.give_credit(stop - start)
        holder.queue.settle(start, stop)


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
