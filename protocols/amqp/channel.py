"""One channel: what it has published, delivered and not yet settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.connections import ChannelFacts
from gateway.exchanges.bindings import Arguments
from gateway.messages import Envelope, Header
from gateway.queues.consumer import Delivery, Terms
from gateway.queues.queue import Queue
from protocols.amqp.codec import FRAME_OVERHEAD, PublishFields, encode_method
from protocols.amqp.confirms import Confirming
from protocols.amqp.consumer_timeouts import DeliveryMarks
from protocols.amqp.content import PUBLISH_ID, Content
from protocols.amqp.delivering import Subscription, content_frames
from protocols.amqp.fields import FieldError, encode_name, encode_short
from protocols.amqp.language import encode_stored
from protocols.amqp.properties import Checked, check, needs_checks
from protocols.amqp.receiving import Batches
from protocols.amqp.replies import AmqpError
from protocols.amqp.settling import Fetched, Outstanding, Settling
from protocols.amqp.stamping import stamp
from protocols.amqp.states import ChannelState
from protocols.amqp.transaction import Publish, Transaction

if TYPE_CHECKING:
    from protocols.amqp.connection import AmqpConnection


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
        self.unacknowledged: dict[int, Outstanding] = {}  # By delivery tag; see `Settling.enter`.
        self.delivery_tag = 0
        self.in_flight_count = 0  # Of subscriptions; what basic.get took does not count.
        self.prefetch = 0  # Shared by all subscriptions; 0 is unlimited.
        self.consumer_prefetch = 0  # Of each subscription to come.
        self.last_queue = ""
        self.reply_queue: Queue | None = None  # Where direct replies to this channel go.
        self.confirming: Confirming | None = None  # After confirm.select.
        self.content: Content | None = None
        self.transaction: Transaction | None = None  # After tx.select, one always.
        self.committing = False  # Until what tx.commit stored is durable.
        self.marks = DeliveryMarks()
        self.settling = Settling(self)
        self.batches = Batches(self)

    @property
    def is_ready(self) -> bool:
        """May a method come now, and take effect at once?"""
        return self.state is ChannelState.OPEN and self.content is None and self.transaction is None

    def wake(self) -> None:
        """There is something to send."""
        self.connection.wake()

    # Publishing

    def published(self, count: int, durable: bool) -> None:
        """Messages were taken over; those that are `durable` are safe after the next flush."""
        if self.confirming is not None:
            self.confirming.published_count += count
            self.connection.confirm_later(self, durable)

    def refused(self, durable: bool) -> None:
        """A queue was full: a message is not taken over by all that it was routed to."""
        if self.confirming is not None:
            self.confirming.refuse_next()
        self.published(1, durable)

    def confirm(self, count: int) -> None:
        """All up to the `count`-th publish are safe, but for those that were refused."""
        if self.confirming is None or self.state is not ChannelState.OPEN:
            return
        if answers := self.confirming.answers(self.number, count):
            self.output += answers
            self.wake()

    def begin_content(self, fields: PublishFields) -> None:
        """A basic.publish whose content comes in the next frames."""
        if fields.immediate:
            raise AmqpError("NOT_IMPLEMENTED", "immediate=true", PUBLISH_ID)
        self.content = Content(fields, None, 0, [])

    def receive_content(self, type: int, payload: bytes) -> None:
        """A content header or body frame."""
        if self.content is None:
            raise AmqpError(
                "UNEXPECTED_FRAME", "expected method frame, got non method frame instead"
            )
        content = self.content.receive(type, payload, self.connection.config.message_size_max)
        if content.is_whole:
            self._publish(content)  # If this raises `OSError`, the frame may come again.
            self.content = None
        else:
            self.content = content

    def _publish(self, content: Content) -> None:
        fields = content.fields
        assert content.header is not None
        connection = self.connection
        try:
            header = connection.language.header(content.header)
        except FieldError as error:
            raise AmqpError("FRAME_ERROR", f"cannot decode {error}", PUBLISH_ID) from error
        envelope = connection.language.envelope(fields.exchange, fields.routing_key)
        route = connection.find_route(envelope, header)
        if needs_checks(header.raw):
            checked = self._check(header.raw)
            header = connection.language.header(checked.raw)
            if checked.more_keys:
                route = connection.find_route(envelope, header, checked.more_keys)
        body = content.body
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
            raise AmqpError("FRAME_ERROR", f"cannot decode {error}", PUBLISH_ID) from error

    def _return(self, envelope: Envelope, header: Header, body: bytes) -> None:
        """A mandatory message found no queue."""
        arguments = (312).to_bytes(2, "big") + b"".join(
            map(encode_short, ("NO_ROUTE", envelope.exchange, envelope.routing_key))
        )
        self.output.append(encode_method(self.number, 60, 50, arguments))
        self.output.extend(content_frames(self.number, header, body, self.frame_max))
        self.wake()

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
            self.settling.settle(outstanding, requeue)
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
        self.settling.restore({tag: outstanding for tag, outstanding, _ in transaction.settlements})

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
                PUBLISH_ID,
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
        subscription = Subscription(self, tag, queue, no_ack, self.consumer_prefetch, arguments)
        queue.subscribe(subscription, Terms(exclusive, arguments))
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

    def wake_subscriptions(self, last: Subscription | None = None) -> None:
        """Credit has grown: let the queues look again, those after the `last` one's first."""
        subscriptions = list(self.subscriptions.values())
        if last in subscriptions:
            position = subscriptions.index(last) + 1
            subscriptions = subscriptions[position:] + subscriptions[:position]
        for subscription in subscriptions:
            subscription.queue.wake()

    def facts(self) -> ChannelFacts:
        """What an operator sees of this channel."""
        confirming = self.confirming
        return ChannelFacts(
            number=self.number,
            consumers=[each.facts() for each in self.subscriptions.values()],
            unacknowledged_count=len(self.unacknowledged) + self.batches.left_count,
            unconfirmed_count=confirming.unconfirmed_count if confirming is not None else 0,
            prefetch_count=self.consumer_prefetch,
            global_prefetch_count=self.prefetch,
            confirming=confirming is not None,
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
        self.settling.recover()
