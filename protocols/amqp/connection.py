"""One AMQP connection as pure state: frames in, frames out, time as an argument.

It knows the life of the connection (AMQP 0-9-1, 2.2.4) and what one read brings: that is worked off
together, publishes and acknowledgements in runs, everything else frame by frame. What a frame asks
for, channels and their methods, the handshake, the heartbeats and the hot paths are in modules of
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from core.errors import is_disk_full
from core.route import Route
from gateway.connections import ChannelFacts, ConnectionFacts, Ends
from gateway.errors import GatewayError, LoginRefusedError, NotAllowedError
from gateway.gateway import Gateway
from gateway.messages import Envelope, Header, Item, Message
from gateway.security.access import UserVirtualHost
from gateway.service.peers import Peer
from protocols.amqp import handshake
from protocols.amqp.blocking import Blocking
from protocols.amqp.channel import Channel
from protocols.amqp.client import Client
from protocols.amqp.codec import (
    ACK,
    HEARTBEAT_FRAME,
    METHOD,
    PROTOCOL_HEADER,
    PUBLISH,
    UnknownMethodError,
    encode_method,
)
from protocols.amqp.config import AmqpConfig
from protocols.amqp.confirms import Confirms
from protocols.amqp.consumer_timeouts import check_interval_s, find_overdue
from protocols.amqp.delivering import Subscription
from protocols.amqp.dispatching import dispatch, method_ids
from protocols.amqp.fields import FieldError
from protocols.amqp.framing import Frame, Input, missing, read_frame
from protocols.amqp.heartbeats import Heartbeats
from protocols.amqp.language import AmqpLanguage
from protocols.amqp.publishing import NotStoredError, Publishing
from protocols.amqp.replies import AmqpError, encode_close, from_gateway, show_binary
from protocols.amqp.resolving import Resolver
from protocols.amqp.states import ChannelState, ConnectionState

if TYPE_CHECKING:
    from protocols.transport import Throttle

_ACCEPTED_HEADERS = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09")
_TX_COMMIT = (90, 20)
_REFUSAL_PAUSE_S = 3.0  # How long RabbitMQ lets a peer that it refused read why.
_CLOSE_OK_TIMEOUT_S = 30.0


class AmqpConnection:
    """The server's side of one connection."""

    def __init__(
        self,
        gateway: Gateway,
        language: AmqpLanguage,
        config: AmqpConfig,
        peer: Peer,
        wake: Callable[[], None],
        throttle: Throttle,
        now: float,
        ends: Ends | None = None,
    ) -> None:
        self.gateway = gateway
        self.language = language
        self.config = config
        self.client = Client(peer, ends or Ends(peer.host, peer.port))
        self.wake = wake
        self.state = ConnectionState.STARTING
        self.closed = False
        self.paused = False
        self.starved: dict[Subscription, None] = {}  # Asked for credit while paused.
        self.output: list[bytes] = []
        self.channels: dict[int, Channel] = {}
        self.frame_max = handshake.FRAME_MIN_SIZE
        self.channel_max = config.channel_max
        self.transactions_size = 0  # Of what all channels hold until tx.commit.
        self.virtual_host = gateway.nowhere()
        self._resolver = Resolver(
            language, gateway.users, self.client, self.channels, self.virtual_host
        )
        self._publishing = Publishing(gateway.broker, language, self._resolver)
        self._generation = gateway.generation
        self._blocking = Blocking(throttle, gateway.broker.when_relieved, self.output, wake)
        self._input = Input()
        self._confirms = Confirms(gateway.broker.when_durable)
        self._delayed: list[Item] = []  # By this read; not stored yet.
        self._holds_count = 0
        self._hang_up_at: float | None = now + config.handshake_timeout_s
        self._heartbeats = Heartbeats()
        self._consumers_check_at = inf
        self._now = now
        self._opened_at = now

    @property
    def wants_cancel(self) -> bool:
        """Does the client want to hear that a consumer was cancelled?"""
        return self.client.understands("consumer_cancel_notify")

    @property
    def _is_read(self) -> bool:
        """Does the transport read? Where it does not, the peer is not silent."""
        return not (self.paused or self._blocking.blocked)

    # What the transport calls

    def receive_data(self, data: bytes, now: float) -> None:
        """Take in what arrived and work it off as far as it is whole."""
        self._now = now
        self._heartbeats.received = True
        if self._input.parts:
            data = self._input.gather(data)
        position = 0
        if self.state is ConnectionState.STARTING:
            position = self._receive_protocol_header(data)
        if self.gateway.generation != self._generation:
            self.forget_routes()
        log_end = self.gateway.broker.log_end
        try:
            self._work_off(data, position)
            if self._delayed:
                self._store_delayed(data)
        except NotStoredError as refused:
            self._await_room(data, refused.position, refused.error)
            self._tell_if_blocked(now)
        else:
            if self._blocking.is_full:
                self._blocking.stored()
        if self._confirms.due and not self._delayed:
            self._confirms.settle()
        if self.gateway.broker.log_end != log_end and self.gateway.broker.congested:
            self._blocking.behind(now)

    def data_to_send(self) -> bytes:
        """Everything queued for the peer, unless it waits for something to be durable."""
        if self._holds_count or not self.output:
            return b""
        data = b"".join(self.output)
        self.output.clear()
        self._heartbeats.sent = True
        return data

    def next_deadline(self) -> float | None:
        """When to hang up, or to look at the heartbeats."""
        if self._hang_up_at is not None:
            return self._hang_up_at
        blocking = self._blocking
        due = min(
            self._heartbeats.next_deadline(),
            self._consumers_check_at,
            blocking.tell_at,
            blocking.retry_at,
        )
        return due if due != inf else None

    def handle_deadline(self, now: float) -> None:
        """Hang up, send a heartbeat, notice that the peer is dead, or try again to store."""
        self._now = now
        if self._hang_up_at is not None:
            self.closed = now >= self._hang_up_at
            return
        if now >= self._blocking.retry_at:
            self.receive_data(b"", now)
        self._tell_if_blocked(now)
        if now >= self._consumers_check_at:
            self._check_consumers(now)
        if self._heartbeats.is_due(now):
            self.output.append(HEARTBEAT_FRAME)
        if self._heartbeats.is_dead(now, self._is_read):
            self.closed = True
            self.release()  # The socket may take its time to notice.

    def pause_delivery(self) -> None:
        """The peer does not read: its consumers have no credit."""
        self.paused = True

    def resume_delivery(self) -> None:
        """The peer reads again."""
        self.paused = False
        starved, self.starved = self.starved, {}
        for subscription in starved:
            subscription.queue.wake()

    def connection_lost(self) -> None:
        """Give everything back."""
        self.closed = True
        self.release()

    # What the gateway's registry asks for

    def facts(self) -> ConnectionFacts:
        """What does not change while the connection is open."""
        return ConnectionFacts(
            protocol="AMQP 0-9-1",
            ends=self.client.ends,
            connected_at=self._opened_at,
            channel_max=self.channel_max,
            frame_max=self.frame_max,
            heartbeat_s=self._heartbeats.interval_s,
            auth_mechanism=self.client.mechanism,
            client_properties=self.client.properties,
        )

    def channel_facts(self) -> list[ChannelFacts]:
        """The channels, as they are now."""
        return [channel.facts() for channel in self.channels.values()]

    def force_close(self, reason: str) -> None:
        """An operator wants this connection closed."""
        self.shut_down(reason)

    def shut_down(self, reason: str) -> None:
        """The broker stops: tell the peer."""
        if self.state is ConnectionState.OPEN:
            self._close(AmqpError("CONNECTION_FORCED", reason))
        else:
            self.closed = True
        self.wake()

    # What channels and methods call

    def hold(self) -> None:
        """Send nothing until all that was declared so far is durable."""
        self._holds_count += 1
        self.gateway.broker.when_durable(self._release_hold)

    def find_route(
        self, envelope: Envelope, header: Header, more_keys: Sequence[str] = ()
    ) -> Route:
        """Where a message goes. Raises `GatewayError`."""
        exchange, routing_key = envelope.exchange, envelope.routing_key
        return self.virtual_host.route(exchange, routing_key, header, more_keys)

    def forget_routes(self) -> None:
        """Where publishes lead has changed."""
        self._generation = self.gateway.generation
        self._publishing.forget()

    def append(self, route: Route, message: Message, stored: bytes, durable: bool) -> bool:
        """Append one message; False if a queue refused it because it is full."""
        if route.waits and not route.queues:
            self._delayed.append((route, message, stored))
            return True
        if route.waits or route.guarded:
            return not self.virtual_host.intake.publish([(route, message, stored)])
        if message[1].may_expire:
            self.virtual_host.intake.expect_expiry(route)
        self.gateway.broker.append(
            self.language.number, [route], [len(stored)], [stored], [message],
            durable and route.durable,
        )  # fmt: skip
        return True

    def confirm_later(self, channel: Channel, durable: bool) -> None:
        """A channel's publishes are to be confirmed when this read is worked off."""
        due = self._confirms.due
        due[channel] = due.get(channel, False) or durable

    # Frames

    def _receive_protocol_header(self, data: bytes) -> int:
        start = data[: len(PROTOCOL_HEADER)]
        if start in _ACCEPTED_HEADERS:
            self.state = ConnectionState.SECURING
            self.output.append(
                handshake.start(self.gateway.product_version, self.client.has_certificate)
            )
            return len(start)
        if not any(header.startswith(start) for header in _ACCEPTED_HEADERS):
            self.output.append(PROTOCOL_HEADER)
            self.state = ConnectionState.REFUSED
            self.closed = True
        else:
            self._input.keep(data, 1)
        return len(data)

    def _work_off(self, data: bytes, position: int) -> None:
        """Take what arrived apart, as far as it is whole. Raises `NotStoredError`."""
        size = len(data)
        while position < size:
            if self.state is ConnectionState.REFUSED or self.state is ConnectionState.LEAVING:
                break
            following = self._receive_run(data, position)
            if following == position and (
                not self._publishing.missing_size or self._resolver.is_amid_content(data, position)
            ):
                try:
                    following = self._receive_frame(data, position)
                except OSError as error:
                    raise NotStoredError(position, error) from error
            if following == position:
                missing_size = self._publishing.missing_size or missing(data, position)
                self._input.keep(data[position:], missing_size)
                break
            position = following

    def _store_delayed(self, data: bytes) -> None:
        """Keep what this read has delayed, as one record. Raises `NotStoredError`."""
        try:
            self.virtual_host.intake.publish(self._delayed)
        except OSError as error:
            raise NotStoredError(len(data), error) from error
        self._delayed.clear()

    def _await_room(self, data: bytes, position: int, error: OSError) -> None:
        """Keep what could not be stored, until there is room for it. Raises other errors."""
        if not is_disk_full(error):
            raise error
        if not self._blocking.is_full:
            self.gateway.report_full_disk(error)
        self._input.keep(data[position:], 0)
        self._blocking.full(self._now)

    def _receive_run(self, data: bytes, position: int) -> int:
        """The hot paths: as many publishes or acknowledgements as stand here, if any do."""
        self._publishing.missing_size = 0
        if self.state is not ConnectionState.OPEN:
            return position
        if data.startswith(PUBLISH, position + 7):
            return self._publishing.receive(data, position)
        if data.startswith(ACK, position + 7):
            channel = self.channels.get(int.from_bytes(data[position + 1 : position + 3], "big"))
            if channel is not None and channel.is_ready and channel.settling.is_ack(data, position):
                try:
                    return channel.settling.receive_acks(data, position)
                except AmqpError as error:
                    self._fail(error, channel.number)
                    return position + 21
        return position

    def _receive_frame(self, data: bytes, position: int) -> int:
        """One frame of any kind; returns where the next begins, `position` if it is not whole."""
        try:
            frame = read_frame(data, position, self.frame_max)
        except AmqpError as error:
            self._fail(error, 0)
            return len(data)  # Where the next frame would begin cannot be known any more.
        if frame is None:
            return position
        self._try_frame(frame)
        return position + len(frame.octets)

    def _try_frame(self, frame: Frame) -> None:
        """Do what a whole frame asks for, and answer what goes wrong with it."""
        number, method = frame.channel, method_ids(frame)
        try:
            dispatch(self, frame)
        except AmqpError as error:
            self._fail(error, number)
        except LoginRefusedError:
            self._refuse_login()
        except GatewayError as error:
            self._fail(from_gateway(error, method), number)
        except UnknownMethodError:
            self._fail(AmqpError("COMMAND_INVALID", "unimplemented method", method), 0)
        except FieldError:
            text = f"cannot decode {show_binary(frame.payload[4:])}"
            self._fail(AmqpError("FRAME_ERROR", text, method), 0)
        except OSError as error:
            if not is_disk_full(error) or frame.type != METHOD or method == _TX_COMMIT:
                raise  # A message waits until there is room for it, where there may be.
            self._fail(AmqpError("RESOURCE_ERROR", "no space left on the disk", method), 0)
        if self.gateway.generation != self._generation:
            self.forget_routes()

    # Life

    def tuned(self, channel_max: int, frame_max: int, heartbeat_s: int) -> None:
        """connection.tune-ok was acceptable."""
        self.channel_max = channel_max
        self.frame_max = frame_max
        self._publishing.body_size_max = min(frame_max, self.config.message_size_max)
        self._heartbeats.agree(float(heartbeat_s))
        self.state = ConnectionState.OPENING

    def opened(self, virtual_host: UserVirtualHost) -> None:
        """connection.open succeeded."""
        self.virtual_host = self._resolver.virtual_host = virtual_host
        self.state = ConnectionState.OPEN
        self._hang_up_at = None
        self._opened_at = self._now
        self.gateway.connections.add(self, self.client.user, self.virtual_host.name)
        self._heartbeats.start(self._now)
        self._consumers_check_at = self._now + check_interval_s(self.config.consumer_timeout_ms)

    def _refuse_login(self) -> None:
        """Say so if the client understands it, and hang up after a pause."""
        if self.client.understands("authentication_failure_close"):
            text = (
                "ACCESS_REFUSED - Login was refused using authentication mechanism "
                f"{self.client.mechanism}. For details see the broker logfile."
            )
            self.output.append(encode_close(0, 10, 403, text, (0, 0)))
            self.state = ConnectionState.CLOSING
        else:
            self.state = ConnectionState.REFUSED
        self._hang_up_at = self._now + _REFUSAL_PAUSE_S

    def _fail(self, error: AmqpError, number: int) -> None:
        """Close what the error closes: the channel, or the connection."""
        if self.state is ConnectionState.CLOSING:
            return
        channel = self.channels.get(number)
        if not error.is_soft or channel is None:
            self._close(error)
            return
        if channel.state is ChannelState.OPEN:
            self.close_channel(channel)
            self.channels[number] = channel
            self.output.append(encode_close(number, 20, error.code, error.text, error.method))

    def _close(self, error: AmqpError) -> None:
        """Send connection.close, or hang up silently on one who has not even logged in."""
        self.release()
        if self.state in (ConnectionState.STARTING, ConnectionState.SECURING):
            self.state = ConnectionState.REFUSED
            self._hang_up_at = self._now + _REFUSAL_PAUSE_S
            return
        self.output.append(encode_close(0, 10, error.code, error.text, error.method))
        self.state = ConnectionState.CLOSING
        timeout_s = min(self._heartbeats.interval_s or _CLOSE_OK_TIMEOUT_S, _CLOSE_OK_TIMEOUT_S)
        self._hang_up_at = self._now + (_REFUSAL_PAUSE_S if error.code == 501 else timeout_s)

    def leave(self) -> None:
        """Nothing more will come: hang up when all that was answered is durable."""
        self.state = ConnectionState.LEAVING
        self._hang_up_at = self._now + _CLOSE_OK_TIMEOUT_S
        self.closed = not self._holds_count

    def check_channel_count(self) -> None:
        """Is there room for one more channel?

        Raises `AmqpError`; as RabbitMQ's, it does not name the method that went too far.
        """
        if len(self.channels) >= self.channel_max:
            raise AmqpError(
                "NOT_ALLOWED",
                f"number of channels opened ({len(self.channels)}) has reached the negotiated"
                f" channel_max ({self.channel_max})",
            )
        try:
            self.gateway.check_channel_limit(self.client.user)
        except NotAllowedError as error:
            raise AmqpError(error.constant, str(error)) from error

    def open_channel(self, number: int) -> None:
        """channel.open, of a channel that is not open."""
        self.channels[number] = Channel(self, number)
        self.output.append(encode_method(number, 20, 11, b"\x00\x00\x00\x00"))

    def close_channel(self, channel: Channel) -> None:
        """A channel ends, and with it all that is its own."""
        channel.close()
        del self.channels[channel.number]
        self._confirms.due.pop(channel, None)
        self.forget_routes()

    def release(self) -> None:
        """Give back all that the connection holds; doing it again changes nothing."""
        if self._blocking.is_full:
            self._blocking.stored()  # Nobody waits for it any more, and its answer must be read.
        for channel in list(self.channels.values()):
            channel.close()
        self.channels.clear()
        self.forget_routes()
        self._confirms.due.clear()
        self.virtual_host.release_owner(self)
        self.gateway.connections.remove(self)

    def _check_consumers(self, now: float) -> None:
        """Close the channels that have kept a delivery for too long."""
        default_ms = self.config.consumer_timeout_ms
        self._consumers_check_at = now + check_interval_s(default_ms)
        if not self._is_read:
            for channel in self.channels.values():
                channel.marks.forget()
            return
        for channel, error in find_overdue(list(self.channels.values()), default_ms, now):
            self._fail(error, channel.number)

    def _tell_if_blocked(self, now: float) -> None:
        if now >= self._blocking.tell_at:
            self._blocking.tell(self.client.understands("connection.blocked"))

    def _release_hold(self) -> None:
        self._holds_count -= 1
        if self.state is ConnectionState.LEAVING and not self._holds_count:
            self.closed = True
        self.wake()
