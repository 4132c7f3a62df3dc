"""An AMQP client for tests: real octets through the real transport to a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pamqp import commands
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.gateway import Gateway
from gateway.messages import Language
from gateway.service.peers import Peer
from protocols.amqp.codec import (
    BODY,
    END,
    FRAME_HEAD,
    HEADER,
    HEARTBEAT,
    METHOD,
    PROTOCOL_HEADER,
    decode_method,
    encode_frame,
    encode_method,
)
from protocols.amqp.config import AmqpConfig
from protocols.amqp.connection import AmqpConnection
from protocols.amqp.fields import encode_short, encode_table
from protocols.amqp.front_end import AmqpFrontEnd
from protocols.transport import ConnectionTransport
from tests.support.disk import HeldDisk

NO_PROPERTIES = b"\0\0"
TRANSIENT = b"\x10\x00\x01"  # Delivery mode 1, and nothing else.
PERSISTENT = b"\x10\x00\x02"
FRAME_MAX = 131072


@dataclass(frozen=True)
class Received:
    """One method that came, with its content if it has one."""

    channel: int
    command: Any
    properties: bytes = b""
    body: bytes = b""

    @property
    def name(self) -> str:
        """Like "Basic.Deliver"."""
        return type(self.command).__qualname__

    @property
    def failure(self) -> tuple[str, int, str]:
        """What a close says: which one, the code and the text."""
        return self.name, self.command.reply_code, self.command.reply_text


@dataclass
class Contents:
    """Puts contents together, channel by channel."""

    pending: dict[int, list[Any]] = field(default_factory=dict)

    def add(self, type: int, channel: int, payload: bytes) -> Received | None:
        if type == METHOD:
            command = decode_method(encode_frame(type, channel, payload))
            if type_has_content(command):
                assert channel not in self.pending
                self.pending[channel] = [command, None, 0, b""]
                return None
            return Received(channel, command)
        assert type in (HEADER, BODY), type
        content = self.pending[channel]
        if type == HEADER:
            assert payload[:4] == b"\x00\x3c\x00\x00"
            content[2] = int.from_bytes(payload[4:12], "big")
            content[1] = payload[12:]
        else:
            assert payload, "an empty body frame"
            content[3] += payload
        if len(content[3]) < content[2]:
            return None
        del self.pending[channel]
        assert len(content[3]) == content[2]
        return Received(channel, content[0], content[1], content[3])


def type_has_content(command: Any) -> bool:
    return isinstance(
        command, commands.Basic.Deliver | commands.Basic.GetOk | commands.Basic.Return
    )


def split(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The frames in `octets`, which must be whole."""
    position = 0
    while position < len(octets):
        type, channel, size = FRAME_HEAD.unpack_from(octets, position)
        end = position + FRAME_HEAD.size + size
        assert octets[end : end + 1] == END, octets[position:]
        yield type, channel, octets[position + FRAME_HEAD.size : end]
        position = end + 1


class Wire(StringTransport):
    """Like a socket's transport: holds so much, then pauses its producer until it is read."""

    bufferSize = 0  # noqa: N815

    def __init__(self, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40_000), lenient=True)  # type: ignore[no-untyped-call]
        self.stalled = False  # Does the peer not read?
        self._is_full = False

    def write(self, data: bytes) -> None:
        super().write(data)  # type: ignore[no-untyped-call]
        if self.stalled and not self._is_full and self.io.tell() > self.bufferSize:
            self._is_full = True
            if self.producer is not None:
                self.producer.pauseProducing()

    def read(self) -> bytes:
        """The peer reads everything there is."""
        octets: bytes = self.value()
        self.clear()
        if self._is_full:
            self._is_full = False
            if self.producer is not None:
                self.producer.resumeProducing()
        return octets


class AmqpBroker:
    """A gateway on a folder, with an AMQP front end; `connect` makes clients of it."""

    languages: tuple[Language, ...] = tuple(AmqpFrontEnd.languages)

    def __init__(self, folder: Path, config: AmqpConfig | None = None) -> None:
        self.folder = folder
        self.config = config or AmqpConfig()
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.disk = HeldDisk()
        self._start()

    def _start(self) -> None:
        self.gateway = Gateway(self.folder, self.clock, self.disk.run)
        for language in self.languages:
            self.gateway.add_language(language)
        self.gateway.start()
        self.virtual_host = self.gateway.default_virtual_host
        self.front_end = AmqpFrontEnd(self.gateway, self.config, self.clock)
        self.factory = self.front_end.listeners()[0].factory

    def peer(self, host: str = "127.0.0.1", certificate_user: str | None = None) -> AmqpPeer:
        """A client that has said nothing yet."""
        return AmqpPeer(self, host, certificate_user)

    def connect(self, **options: Any) -> AmqpPeer:
        """A client whose connection is open, with channel 1."""
        peer = self.peer()
        peer.open(**options)
        peer.open_channel(1)
        return peer

    def restart(self) -> None:
        """Stop cleanly, and begin again in the same folder."""
        self.stop()
        self._start()

    def stop(self) -> None:
        self.front_end.stop()
        self.gateway.stop()


class AmqpPeer:
    """One client: `send` octets, `method`s and `publish`es, `receive` what comes."""

    def __init__(
        self,
        broker: AmqpBroker,
        host: str = "127.0.0.1",
        certificate_user: str | None = None,
    ) -> None:
        self.broker = broker
        self.wire = Wire(host)
        protocol = broker.factory.buildProtocol(Peer(host, 40_000, certificate_user))
        assert isinstance(protocol, ConnectionTransport)
        self.protocol = protocol
        connection = protocol._connection
        assert isinstance(connection, AmqpConnection)
        self.connection = connection
        self.protocol.makeConnection(self.wire)  # type: ignore[no-untyped-call]
        self.contents = Contents()
        self.heartbeats_count = 0
        self._received: list[Received] = []

    # Sending

    def send(self, octets: bytes) -> None:
        self.protocol.dataReceived(octets)

    def method(self, channel: int, command: Any) -> None:
        """Send a method; names need not please pamqp."""
        self.send(method_frame(channel, command))

    def publish(
        self,
        routing_key: str,
        body: bytes = b"",
        properties: bytes = NO_PROPERTIES,
        *,
        exchange: str = "",
        channel: int = 1,
        mandatory: bool = False,
    ) -> None:
        self.send(
            publish_frames(channel, exchange, routing_key, body, properties, mandatory=mandatory)
        )

    # Receiving

    def receive_all(self) -> list[Received]:
        """All methods that came since this was asked last, with their contents."""
        received, self._received = self._received, []
        for type, channel, payload in split(self.wire.read()):
            if type == HEARTBEAT:
                assert (channel, payload) == (0, b"")
                self.heartbeats_count += 1
                continue
            if (whole := self.contents.add(type, channel, payload)) is not None:
                received.append(whole)
        return received

    def receive(self) -> Received:
        """The next method; there must be one."""
        received = self.receive_all()
        assert received, "nothing came"
        self._received = received[1:]
        return received[0]

    def call(self, command: Any, channel: int = 1) -> Any:
        """Send a method; its answer must be all that comes."""
        assert not self.receive_all()
        self.method(channel, command)
        (answer,) = self.receive_all()
        assert answer.channel == channel
        return answer.command

    def fail(self, command: Any, channel: int = 1) -> tuple[str, int, str]:
        """Send a method that fails; how. A channel is opened again, a connection not."""
        assert not self.receive_all()
        self.method(channel, command)
        return self.failure(channel)

    def failure(self, channel: int = 1) -> tuple[str, int, str]:
        """What closed the channel or the connection; nothing else must have come."""
        (answer,) = self.receive_all()
        if answer.name == "Channel.Close":
            assert answer.channel == channel
            self.method(channel, commands.Channel.CloseOk())
            self.open_channel(channel)
        else:
            assert answer.channel == 0
        return answer.failure

    def deliveries(self) -> list[Received]:
        received = self.receive_all()
        assert {each.name for each in received} <= {"Basic.Deliver"}, received
        return received

    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries()]

    @property
    def hung_up(self) -> bool:
        """Whether the broker has closed the connection."""
        return bool(self.wire.disconnecting)

    def lose(self) -> None:
        """The connection breaks."""
        self.wire.disconnecting = True
        self.protocol.connectionLost()

    # The usual beginnings

    def start(
        self,
        user: str = "guest",
        password: str = "guest",
        capabilities: tuple[str, ...] = ("consumer_cancel_notify", "authentication_failure_close"),
    ) -> None:
        """Say the protocol header, and log in."""
        self.send(PROTOCOL_HEADER)
        assert self.receive().name == "Connection.Start"
        self.send(start_ok_frame(f"\0{user}\0{password}".encode(), capabilities=capabilities))

    def open(
        self,
        virtual_host: str = "/",
        channel_max: int = 2047,
        frame_max: int = FRAME_MAX,
        heartbeat: int = 0,
        **options: Any,
    ) -> None:
        self.start(**options)
        assert self.receive().name == "Connection.Tune"
        self.method(
            0,
            commands.Connection.TuneOk(
                channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat
            ),
        )
        answer = self.call(commands.Connection.Open(virtual_host=virtual_host), 0)
        assert isinstance(answer, commands.Connection.OpenOk)

    def open_channel(self, channel: int) -> None:
        answer = self.call(commands.Channel.Open(), channel)
        assert isinstance(answer, commands.Channel.OpenOk)

    def declare(self, queue: str = "q", **options: Any) -> Any:
        channel = options.pop("channel", 1)
        return self.call(commands.Queue.Declare(queue=queue, **options), channel)

    def consume(
        self, queue: str = "q", tag: str = "t", *, channel: int = 1, **options: Any
    ) -> list[Received]:
        """Subscribe; return what is delivered at once."""
        assert not self.receive_all()
        self.method(channel, commands.Basic.Consume(queue=queue, consumer_tag=tag, **options))
        answer, *deliveries = self.receive_all()
        assert answer.name == "Basic.ConsumeOk", answer.failure
        assert (answer.channel, answer.command.consumer_tag) == (channel, tag)
        return deliveries

    def ack(self, tag: int, multiple: bool = False, channel: int = 1) -> None:
        self.method(channel, commands.Basic.Ack(delivery_tag=tag, multiple=multiple))

    def get(self, queue: str = "q", no_ack: bool = False, channel: int = 1) -> Received:
        self.method(channel, commands.Basic.Get(queue=queue, no_ack=no_ack))
        (answer,) = self.receive_all()
        return answer


# Octets


def method_frame(channel: int, command: Any) -> bytes:
    """A method, encoded without pamqp's opinions on names."""
    arguments = b""
    bits: list[bool] = []
    for name in command.__slots__:
        type, value = command.amqp_type(name), getattr(command, name)
        if type == "bit":
            bits.append(bool(value))
            continue
        arguments += _pack_bits(bits) + _encode_field(type, value)
        bits = []
    arguments += _pack_bits(bits)
    return encode_method(channel, command.index >> 16, command.index & 0xFFFF, arguments)


def _pack_bits(bits: list[bool]) -> bytes:
    return bytes((sum(bit << place for place, bit in enumerate(bits)),)) if bits else b""


def _encode_field(type: str, value: Any) -> bytes:
    if type == "shortstr":
        return encode_short(value or "")
    if type == "table":
        return encode_table(value or {})
    if type == "longstr":
        data = value if isinstance(value, bytes) else (value or "").encode()
        return len(data).to_bytes(4, "big") + data
    sizes = {"octet": 1, "short": 2, "long": 4, "longlong": 8}
    return int(value or 0).to_bytes(sizes[type], "big")


def publish_frames(
    channel: int,
    exchange: str | bytes,
    routing_key: str | bytes,
    body: bytes,
    properties: bytes = NO_PROPERTIES,
    *,
    mandatory: bool = False,
    immediate: bool = False,
    part_size: int = FRAME_MAX - 8,
) -> bytes:
    """A message in frames, its body in parts of at most `part_size`."""
    bits = bytes((mandatory | immediate << 1,))
    arguments = b"\0\0" + encode_short(exchange) + encode_short(routing_key) + bits
    content = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + properties
    parts = [body[start : start + part_size] for start in range(0, len(body), part_size)]
    return (
        encode_method(channel, 60, 40, arguments)
        + encode_frame(HEADER, channel, content)
        + b"".join(encode_frame(BODY, channel, part) for part in parts)
    )


def start_ok_frame(
    response: bytes, mechanism: str = "PLAIN", capabilities: tuple[str, ...] = ()
) -> bytes:
    """connection.start-ok."""
    properties = {"capabilities": dict.fromkeys(capabilities, True), "connection_name": "test"}
    arguments = (
        encode_table(properties)
        + encode_short(mechanism)
        + len(response).to_bytes(4, "big")
        + response
        + encode_short("en_US")
    )
    return encode_method(0, 10, 11, arguments)
