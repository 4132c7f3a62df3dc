"""One channel: what it has published, delivered and not yet settled."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import takewhile
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gateway.connections import ChannelFacts, ConsumerFacts
from gateway.exchanges.bindings import Arguments
from gateway.messages import Envelope, Header
from gateway.queues.queue import Delivery, Queue
from protocols.amqp.codec import (
    ACK,
    BODY,
    END_OCTET,
    FRAME_HEAD,
    FRAME_OVERHEAD,
    HEADER,
    METHOD,
    PublishFields,
    encode_method,
)
from protocols.amqp.consumer_timeouts import DeliveryMarks
from protocols.amqp.delivering import Subscription, content_frames
from protocols.amqp.fields import FieldError, encode_name, encode_short
from protocols.amqp.language import encode_stored
from protocols.amqp.properties import Checked, check, needs_checks
from protocols.amqp.publishing import Kind
from protocols.amqp.replies import AmqpError
from protocols.amqp.stamping import stamp
from protocols.amqp.states import ChannelState
from protocols.amqp.transaction import Publish, Transaction

if TYPE_CHECKING:
    from protocols.amqp.connection import AmqpConnection

_PUBLISH_ID = (60, 40)
_BASIC_ACK, _BASIC_NACK = 80, 120
_ACK_FRAME = Struct(">11sQBB")  # Everything before the tag; tag; bits; end octet.
assert _ACK_FRAME.size == 21
_CONTENT = Struct(">HHQ")


class Fetched:
    """What basic.get took from a queue: outstanding, but nobody's subscription."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.in_flight_count = 0


Holder: TypeAlias = "Subscription | Fetched"
Outstanding: TypeAlias = "tuple[Holder, int]"  # Who has the delivery, and its queue offset.


class Content(NamedTuple):
    """A message that is arriving frame by frame."""

    fields: PublishFields
    header: bytes | None
    body_size: int
    parts: list[bytes]


class Channel:
    """The state of one channel of an open connection."""

    def __init__(self, connection: AmqpConnection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.state = ChannelState.OPEN
        self.output = connection.output
        self.frame_max = connection.frame_max
        self.body_size_max = self.frame_max - FRAME_OVERHEAD if self.frame_max else 1 << 62
        self.subscriptions: dict[str, Subscription] = {}
        self.unacknowledged: dict[int, Outstanding] = {}  # By delivery tag, in their order.
        self.delivery_tag = 0
        self.in_flight_count = 0  # Of subscriptions; what basic.get took does not count.
        self.prefetch = 0  # Shared by all subscriptions; 0 is unlimited.
        self.consumer_prefetch = 0  # Of each subscription to come.
        self.last_queue = ""
        self.reply_queue: Queue | None = None  # Where direct replies to this channel go.
        self.confirming = False
        self.published_count = 0  # Since confirm.select.
        self.confirmed_count = 0
        self.awaited_flush_count = 0
        self._refused: list[int] = []  # Publishes that are to be nacked in their turn, in order.
        self.content: Content | None = None
        self.transaction: Transaction | None = None  # After tx.select, one always.
        self.committing = False  # Until what tx.commit stored is durable.
        self.durable_kind = Kind(self, True)
        self.transient_kind = Kind(self, False)
        self.marks = DeliveryMarks()
        self._ack_prefix = FRAME_HEAD.pack(METHOD, number, 13) + ACK

    def wake(self) -> None:
        """There is something to send."""
        self.connection.wake()

    # Publishing

    def published(self, count: int, durable: bool) -> None:
        """Messages were taken over; those that are `durable` are safe after the next flush."""
        if self.confirming:
            self.published_count += count
            self.connection.confirm_later(self, durable)

    def refused(self, durable: bool) -> None:
        """A queue was full: a message is not taken over by all that it was routed to."""
        if self.confirming:
            self._refused.append(self.published_count + 1)
        self.published(1, durable)

    def confirm(self, count: int) -> None:
        """All up to the `count`-th publish are safe, but for those that were refused."""
        if count > self.confirmed_count and self.state is ChannelState.OPEN:
            due = bisect_right(self._refused, count)
            for number in self._refused[:due]:
                self._confirm(number - 1, _BASIC_ACK)
                self._confirm(number, _BASIC_NACK)
            del self._refused[:due]
            self._confirm(count, _BASIC_ACK)
            self.wake()

    def _confirm(self, count: int, method: int) -> None:
        if count > self.confirmed_count:
            multiple = count - self.confirmed_count > 1
            self.confirmed_count = count
            arguments = count.to_bytes(8, "big") + bytes((multiple,))
            self.output.append(encode_method(self.number, 60, method, arguments))

    def begin_content(self, fields: PublishFields) -> None:
        """A basic.publish whose content comes in the next frames."""
        if fields.immediate:
            raise AmqpError("NOT_IMPLEMENTED", "immediate=true", _PUBLISH_ID)
        self.content = Content(fields, None, 0, [])

    def receive_content(self, type: int, payload: bytes) -> None:
        """A content header or body frame."""
        content = self.content
        if content is None:
            raise AmqpError(
                "UNEXPECTED_FRAME", "expected method frame, got non method frame instead"
            )
        if content.header is None:
            if type != HEADER:
                raise _unexpected(
                    "expected content header for class 60, got non content header frame instead"
                )
            self._begin_body(content, payload)
            return
        if type != BODY:
            raise _unexpected("expected content body, got non content body frame instead")
        left = content.body_size - len(payload)
        if left < 0:
            raise AmqpError("FRAME_ERROR", "the body is longer than its header says", _PUBLISH_ID)
        if not left:
            self._publish(content, payload)
            return
        if payload:
            content.parts.append(payload)
        self.content = content._replace(body_size=left)

    def _begin_body(self, content: Content, payload: bytes) -> None:
        if len(payload) < _CONTENT.size + 2:
            raise AmqpError("FRAME_ERROR", "cannot decode content header", _PUBLISH_ID)
        class_id, _, body_size = _CONTENT.unpack_from(payload)
        if class_id != 60:
            raise _unexpected(
                f"expected content header for class 60, got one for class {class_id} instead"
            )
        size_max = self.connection.config.message_size_max
        if body_size > size_max:
            # RabbitMQ would take in all of it first; the answer is the same.
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"message size {body_size} is larger than configured max size {size_max}",
                _PUBLISH_ID,
            )
        begun = content._replace(header=payload[_CONTENT.size :], body_size=body_size)
        if body_size:
            self.content = begun
        else:
            self._publish(begun, b"")

    def _publish(self, content: Content, last_part: bytes) -> None:
        """The content is whole. If this raises `OSError`, its last frame may come again."""
        self._route_and_append(content, last_part)
        self.content = None

    def _route_and_append(self, content: Content, last_part: bytes) -> None:
        fields = content.fields
        assert content.header is not None
        connection = self.connection
        try:
            header = connection.language.header(content.header)
        except FieldError as error:
            raise AmqpError("FRAME_ERROR", f"cannot decode {error}", _PUBLISH_ID) from error
        envelope = connection.language.envelope(fields.exchange, fields.routing_key)
        route = connection.find_route(envelope, header)
        if needs_checks(header.raw):
            checked = self._check(header.raw)
            header = connection.language.header(checked.raw)
            if checked.more_keys:
                route = connection.find_route(envelope, header, checked.more_keys)
        body = b"".join((*content.parts, last_part))
        if self.transaction is not None:
            publish = Publish(route, (envelope, header, body), fields.mandatory)
            self._add_to_transaction(self.transaction, publish)
            return
        if fields.mandatory and route.is_unroutable:
            self._return(envelope, header, body)
        if not route.queues and not route.waits:
            self.published(1, False)
            return
        durable = route.keeps(header.persistent)
        stored = encode_stored(envelope, header.raw, body)
        if connection.append(route, (envelope, header, body), stored, durable):
            self.published(1, durable)
        else:
            self.refused(durable)

    def _check(self, raw: bytes) -> Checked:
        try:
            reply_queue = self.reply_queue.name if self.reply_queue is not None else None
            connection = self.connection
            may_publish_as = connection.gateway.users.may_publish_as
            return check(raw, connection.client.user, reply_queue, may_publish_as)
        except FieldError as error:
            raise AmqpError("FRAME_ERROR", f"cannot decode {error}", _PUBLISH_ID) from error

    def _return(self, envelope: Envelope, header: Header, body: bytes) -> None:
        """A mandatory message found no queue."""
        arguments = (312).to_bytes(2, "big") + b"".join(
            map(encode_short, ("NO_ROUTE", envelope.exchange, envelope.routing_key))
        )
        self.output.append(encode_method(self.number, 60, 50, arguments))
        self.output.extend(content_frames(self.number, header, body, self.frame_max))
        self.wake()

    # Acknowledging

    def receive_acks(self, data: bytes, position: int) -> int:
        """Settle for the run of basic.ack frames at `position`; return where it ends.

        Hot path: consecutive offsets of one holder are settled together.
        """
        prefix = self._ack_prefix
        end = position + (len(data) - position) // _ACK_FRAME.size * _ACK_FRAME.size
        unacknowledged = self.unacknowledged
        holder: Holder | None = None
        start = stop = 0
        try:
            for head, tag, bits, octet in _ACK_FRAME.iter_unpack(memoryview(data)[position:end]):
                if head != prefix or octet != END_OCTET:
                    break
                position += _ACK_FRAME.size
                if bits & 1:
                    if holder is not None:
                        self._settle(holder, start, stop)
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
                    self._settle(holder, start, stop)
                holder, start = outstanding
                stop = start + 1
        finally:
            if holder is not None:
                self._settle(holder, start, stop)
        return position

    def is_ack(self, data: bytes, position: int) -> bool:
        """Does a whole, well-formed basic.ack of this channel stand at `position`?"""
        return data.startswith(self._ack_prefix, position) and (
            len(data) - position >= _ACK_FRAME.size
        )

    def acknowledge(self, tag: int, multiple: bool) -> None:
        """basic.ack. Raises `AmqpError` for a tag that is not outstanding."""
        self._settle_taken(self._pop(tag, multiple, 80), None)

    def reject(self, tag: int, multiple: bool, requeue: bool, method: int) -> None:
        """basic.nack and basic.reject. Raises `AmqpError` for a tag that is not outstanding."""
        self._settle_taken(self._pop(tag, multiple, method), requeue)

    def recover(self) -> None:
        """Requeue everything that is outstanding."""
        outstanding = list(self.unacknowledged.values())
        self.unacknowledged.clear()
        self._settle_all(outstanding, True)

    # Transactions

    def select(self) -> None:
        """tx.select: from now on everything waits for `commit`. Doing it again changes nothing."""
        if self.transaction is None:
            self.transaction = Transaction()
            self.connection.forget_routes()  # They lead past the transaction.

    def commit(self) -> None:
        """tx.commit, and its answer once everything is safe.

        All messages are one record of the log: a restart brings back all or none. What was settled
        follows it. Raises `OSError` if the disk refuses; the transaction is then as it was.
        """
        transaction = self._expect_transaction(20)
        connection = self.connection
        refused = connection.virtual_host.intake.publish(transaction.items())
        self._begin_transaction()
        for envelope, header, body in transaction.unroutable():
            self._return(envelope, header, body)
        for requeue, outstanding in transaction.settled():
            self._settle_all(outstanding, requeue)
        if refused:  # By a queue that is full.
            raise AmqpError("PRECONDITION_FAILED", "partial tx completion", (90, 20))
        self.committing = True
        if any(publish.is_kept for publish in transaction.publishes):
            connection.gateway.broker.when_durable(self._committed)
        else:
            self._committed()

    def rollback(self) -> None:
        """tx.rollback: nothing was published, and what was settled is outstanding again."""
        transaction = self._expect_transaction(30)
        self._begin_transaction()
        outstanding = {tag: outstanding for tag, outstanding, _ in transaction.settlements}
        outstanding |= self.unacknowledged
        self.unacknowledged.clear()
        self.unacknowledged.update(sorted(outstanding.items()))

    def _expect_transaction(self, method: int) -> Transaction:
        if self.transaction is None:
            raise AmqpError("PRECONDITION_FAILED", "channel is not transactional", (90, method))
        return self.transaction

    def _begin_transaction(self) -> None:
        assert self.transaction is not None
        self.connection.transactions_size -= self.transaction.size
        self.transaction = Transaction()

    def _add_to_transaction(self, transaction: Transaction, publish: Publish) -> None:
        connection = self.connection
        size_max = connection.config.transactions_size_max
        if connection.transactions_size + publish.size > size_max:
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"the transactions of this connection are larger than {size_max} bytes",
                _PUBLISH_ID,
            )
        transaction.publish(publish)
        connection.transactions_size += publish.size

    def _committed(self) -> None:
        self.committing = False
        if self.state is ChannelState.OPEN:
            self.output.append(encode_method(self.number, 90, 21))
            self.wake()

    # Consuming

    def subscribe(
        self, tag: str, queue: Queue, no_ack: bool, exclusive: bool, arguments: Arguments
    ) -> Subscription:
        """basic.consume. Raises `GatewayError` as `Queue.subscribe` does."""
        subscription = Subscription(self, tag, queue, no_ack, self.consumer_prefetch)
        queue.subscribe(subscription, exclusive, arguments)
        self.subscriptions[tag] = subscription
        return subscription

    def unsubscribe(self, tag: str) -> None:
        """basic.cancel; an unknown tag is no error."""
        subscription = self.subscriptions.pop(tag, None)
        if subscription is not None:
            subscription.queue.unsubscribe(subscription)
            if subscription.queue is self.reply_queue:
                self.reply_queue = None

    def subscription_cancelled(self, subscription: Subscription) -> None:
        """The queue of a subscription is gone."""
        if self.subscriptions.pop(subscription.tag, None) is None:
            return
        if subscription.queue is self.reply_queue:
            self.reply_queue = None
        if self.state is ChannelState.OPEN and self.connection.wants_cancel:
            arguments = encode_short(encode_name(subscription.tag)) + b"\x01"
            self.output.append(encode_method(self.number, 60, 30, arguments))
            self.wake()

    def fetched(self, queue: Queue, delivery: Delivery, no_ack: bool) -> None:
        """basic.get found a message."""
        self.delivery_tag += 1
        envelope, header, body = (
            delivery.message
            if queue.stamp is None
            else stamp(delivery.message, queue.stamp(delivery.offset))
        )
        arguments = b"%b%c%b%b%b" % (
            self.delivery_tag.to_bytes(8, "big"),
            delivery.redelivered,
            encode_short(encode_name(envelope.exchange)),
            encode_short(encode_name(envelope.routing_key)),
            queue.ready_count.to_bytes(4, "big"),
        )
        self.output.append(encode_method(self.number, 60, 71, arguments))
        self.output.extend(content_frames(self.number, header, body, self.frame_max))
        if no_ack:
            queue.settle(delivery.offset, delivery.offset + 1)
        else:
            self.unacknowledged[self.delivery_tag] = (Fetched(queue), delivery.offset)

    def wake_subscriptions(self) -> None:
        """Credit has grown: let the queues look again."""
        for subscription in self.subscriptions.values():
            subscription.queue.wake()

    def facts(self) -> ChannelFacts:
        """What an operator sees of this channel."""
        return ChannelFacts(
            number=self.number,
            consumers=[
                ConsumerFacts(each.tag, each.queue.name, each.no_ack, each.prefetch)
                for each in self.subscriptions.values()
            ],
            unacknowledged_count=len(self.unacknowledged),
            unconfirmed_count=self.published_count - self.confirmed_count,
            prefetch_count=self.consumer_prefetch,
            global_prefetch_count=self.prefetch,
            confirming=self.confirming,
            transactional=self.transaction is not None,
        )

    def close(self) -> None:
        """Give everything back: the subscriptions end, what is outstanding is requeued."""
        self.state = ChannelState.CLOSING
        self.content = None
        if self.transaction is not None:
            self.rollback()
        for tag in list(self.subscriptions):
            self.unsubscribe(tag)
        self.recover()

    # The rest is private

    def _settle_taken(self, taken: dict[int, Outstanding], requeue: bool | None) -> None:
        """Acknowledge (`requeue` is None) or reject deliveries, now or at the next commit."""
        if self.transaction is None:
            self._settle_all(taken.values(), requeue)
        else:
            self.transaction.settle(taken, requeue)

    def _settle_all(self, outstanding: Iterable[Outstanding], requeue: bool | None) -> None:
        refusal: OSError | None = None
        for holder, start, stop in _runs(outstanding):
            self._give_credit(holder, stop - start)
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

    def _settle(self, holder: Holder, start: int, stop: int) -> None:
        self._give_credit(holder, stop - start)
        holder.queue.settle(start, stop)

    def _give_credit(self, holder: Holder, count: int) -> None:
        if isinstance(holder, Subscription):
            holder.in_flight_count -= count
            self.in_flight_count -= count
            if self.prefetch:
                self.wake_subscriptions()
            elif holder.prefetch:
                holder.queue.wake()

    def _pop(self, tag: int, multiple: bool, method: int) -> dict[int, Outstanding]:
        unacknowledged = self.unacknowledged
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


def _unexpected(explanation: str) -> AmqpError:
    return AmqpError("UNEXPECTED_FRAME", explanation, _PUBLISH_ID)
