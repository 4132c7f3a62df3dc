"""What a logged-in STOMP client asks for -> calls of the gateway.

One session is what one channel of an AMQP connection is: its delivery tags, its unsettled
deliveries and its exclusive queues are all its own, and end with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.connections import ChannelFacts
from protocols.stomp.acknowledging import Acknowledger
from protocols.stomp.activemq import ActiveMQ
from protocols.stomp.answers import encode_receipt
from protocols.stomp.codec import Frame, FrameReader
from protocols.stomp.config import StompConfig
from protocols.stomp.errors import RequestRefusedError
from protocols.stomp.language import encode_header_block
from protocols.stomp.outbox import Outbox
from protocols.stomp.publishing import Publisher, trim
from protocols.stomp.receipts import Receipts
from protocols.stomp.subscribing import SubscriberFacts, Subscriptions
from protocols.stomp.subscription import Subscription
from protocols.stomp.transactions import Transactions
from protocols.stomp.unsettled import Unsettled

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.security.access import UserVirtualHost


class Session:
    """One client's dealings with one virtual host."""

    def __init__(
        self,
        gateway: Gateway,
        virtual_host: UserVirtualHost,
        user: str,
        version: str,
        outbox: Outbox,
        config: StompConfig,
        on_cancelled: Callable[[Subscription], None],
        client_id: str | None,
    ) -> None:
        is_activemq = config.personality == "activemq"
        self.identifier = "session-" + secrets.token_urlsafe(16)
        self._virtual_host = virtual_host
        self._owner = object()  # Of exclusive queues. Not us, whom those who know it do not know.
        self._version = version
        self._outbox = outbox
        self._unsettled = Unsettled(covers_all=not is_activemq)
        facts = SubscriberFacts(
            self.identifier, client_id, shows_ack=version == "1.2", shows_slashes=is_activemq
        )
        self._subscriptions = Subscriptions(
            virtual_host,
            self._owner,
            facts,
            outbox,
            self._unsettled,
            config.default_prefetch_count,
            on_cancelled,
        )
        queues = self._subscriptions.queues
        self._activemq = ActiveMQ(queues.temp_queue) if is_activemq else None
        self._receipts = Receipts(outbox)
        self._publisher = Publisher(
            gateway, virtual_host, user, queues, self._receipts, trims=version == "1.0"
        )
        self._acknowledger = Acknowledger(
            self._unsettled,
            self.identifier,
            header_name="id" if version == "1.2" else "message-id",
            # ActiveMQ's NACK means that nobody should have it.
            requeues=config.default_nack_requeue and not is_activemq,
            knows=self._subscriptions.by_tag.__contains__,
        )
        self._transactions = Transactions(
            config, self._publisher, self._acknowledger, self._unsettled, self._receipts
        )
        self._closed = False

    def take_known(self, reader: FrameReader) -> None:
        """Consume what needs no parsing at the reader's position."""
        self._publisher.take_sends(reader)
        self._acknowledger.take_acks(reader)

    def flush(self) -> None:
        """Carry out what was collected: messages are stored before acknowledgements count."""
        self._publisher.flush()
        self._acknowledger.flush()

    def handle(self, frame: Frame) -> None:
        """Carry out one frame; raises `RequestRefusedError` or the gateway's errors."""
        if self._activemq is None:
            self._handle(frame)
            return
        if self._version == "1.0":
            headers = trim(frame.headers)
            block = encode_header_block(headers)
            frame = Frame(frame.command, headers, frame.body, block)
        for each in self._activemq.translate(frame):
            self._handle(each)

    def _handle(self, frame: Frame) -> None:
        command = frame.command
        if command == "SEND" and "transaction" not in frame.headers:
            self._publisher.send(frame)
            return
        self.flush()
        if command == "SEND":
            self._send_in_transaction(frame)
            return
        frame = self._trimmed(frame)
        if command == "COMMIT":
            self._transactions.commit(frame)
            return
        carry_out = _COMMANDS.get(command)
        if carry_out is None:
            raise RequestRefusedError("Bad command", f'Could not interpret command "{command}"\n')
        carry_out(self, frame)
        if (receipt := frame.headers.get("receipt")) is not None:
            self._outbox.add(encode_receipt(receipt))

    def disconnect(self, frame: Frame, on_done: Callable[[], None]) -> None:
        """End the session, then answer the receipt; `on_done` when everything sent is stored.

        What was collected must have been flushed.
        """
        frame = self._trimmed(frame)
        self.close()
        if (receipt := frame.headers.get("receipt")) is not None:
            self._receipts.add(encode_receipt(receipt))
        self._receipts.when_all_stored(on_done)

    def close(self) -> None:
        """Give back what was not settled, end the subscriptions, delete the exclusive queues."""
        if self._closed:
            return
        self._closed = True
        self._acknowledger.flush()  # They were acknowledged, whatever ended the session.
        self._transactions.forget_all()
        subscriptions = self._subscriptions.take_all()
        for subscription in subscriptions:
            subscription.end_taking()
        self._unsettled.release_all()
        for subscription in subscriptions:
            subscription.end()
        self._subscriptions.queues.close()
        self._virtual_host.release_owner(self._owner)

    def wake_queues(self) -> None:
        """There is room for deliveries again."""
        for subscription in list(self._subscriptions.by_tag.values()):
            subscription.queue.wake()

    def facts(self) -> ChannelFacts:
        """What an operator sees of this session."""
        return ChannelFacts(
            number=1,
            consumers=[each.facts() for each in self._subscriptions.by_tag.values()],
            unacknowledged_count=len(self._unsettled.entries),
            prefetch_count=self._subscriptions.prefetch_count,
        )

    def _trimmed(self, frame: Frame) -> Frame:
        """The frame as the version means it."""
        if self._version != "1.0":
            return frame
        return Frame(frame.command, trim(frame.headers), frame.body, frame.header_block)

    def _acknowledge(self, frame: Frame) -> None:
        transaction = self._transactions.of(frame)
        acknowledgement = self._acknowledger.understand(frame)
        self._acknowledger.check_subscription(acknowledgement)
        if transaction is not None:
            transaction.acknowledge(acknowledgement)
            return
        self._acknowledger.apply(acknowledgement)
        if frame.command == "ACK":
            self._acknowledger.remember(frame)

    def _send_in_transaction(self, frame: Frame) -> None:
        transaction = self._transactions.of(self._trimmed(frame))
        assert transaction is not None
        send = self._publisher.resolve(frame)
        transaction.send(self._publisher.item(send, frame), send.receipt)


# What has no way of its own: all but SEND, COMMIT and DISCONNECT.
_COMMANDS: dict[str, Callable[[Session, Frame], None]] = {
    "SUBSCRIBE": lambda session, frame: session._subscriptions.subscribe(frame.headers),
    "UNSUBSCRIBE": lambda session, frame: session._subscriptions.unsubscribe(frame.headers),
    "ACK": Session._acknowledge,
    "NACK": Session._acknowledge,
    "BEGIN": lambda session, frame: session._transactions.begin(frame),
    "ABORT": lambda session, frame: session._transactions.abort(frame),
}
