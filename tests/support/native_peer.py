"""A RocketMQ client for tests: real frames through the real transport to a real gateway."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.gateway import Gateway
from gateway.messages import Envelope, Header, Item, Message, Properties
from protocols.native.front_end import NativeConfig, NativeFrontEnd
from protocols.native.name_server import NameServerConfig, NameServerFrontEnd
from rosettamq.remoting.codes import PullFlag, RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import FrameReader, encode_frame
from rosettamq.remoting.headers import Header as TypedHeader
from rosettamq.remoting.headers import PullMessageRequest, SendMessageRequest
from rosettamq.remoting.records import Record, decode_records
from tests.support.disk import HeldDisk

BUFFER_SIZE = 128 << 10  # As much is buffered for a peer before it has to read.


class OtherLanguage:
    """A language that stands for AMQP: its stored form is the body, sent to the queue T."""

    number = 1
    name = "other"

    def __init__(self) -> None:
        self.properties = Properties()

    def parse_stored(self, stored: bytes) -> Message:
        return Envelope("", "T"), Header(self, b"", True), stored

    def decode_properties(self, raw: bytes) -> Properties:
        return self.properties


class NativeBroker:
    """A gateway on a folder with both native front ends; `connect` makes clients of it."""

    def __init__(
        self,
        folder: Path,
        config: NativeConfig | None = None,
        loopback_users: Collection[str] = (),
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.disk = HeldDisk()
        # Its clients come from elsewhere, as the user guest.
        self.gateway = Gateway(folder, self.clock, self.disk.run, loopback_users=loopback_users)
        self.other = OtherLanguage()
        self.gateway.add_language(self.other)
        for language in NativeFrontEnd.languages:
            self.gateway.add_language(language)
        self.gateway.start()
        self.virtual_host = self.gateway.default_virtual_host
        self.front_end = NativeFrontEnd(self.gateway, config or NativeConfig(), self.clock)
        self.name_server = NameServerFrontEnd(self.gateway, NameServerConfig(), self.clock)
        self.front_end.listening("native", "10.0.0.2", 10911)

    def connect(self) -> Peer:
        return Peer(self.front_end.listeners()[0].factory)

    def connect_name_server(self) -> Peer:
        return Peer(self.name_server.listeners()[0].factory)

    def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Properties | None = None
    ) -> None:
        """Publish as another front end does."""
        self.virtual_host.intake.publish([self.published(exchange, routing_key, body, properties)])
        self.gateway.turn.end()

    def published(
        self, exchange: str, routing_key: str, body: bytes, properties: Properties | None = None
    ) -> Item:
        """What another front end publishes."""
        language = OtherLanguage()
        language.properties = properties or Properties()
        header = Header(language, b"", True)
        route = self.virtual_host.route(exchange, routing_key, header)
        return route, (Envelope(exchange, routing_key), header, body), body

    def stop(self) -> None:
        self.front_end.stop()
        self.gateway.stop()


class Peer:
    """One client."""

    def __init__(self, factory: object) -> None:
        address = IPv4Address("TCP", "10.0.0.1", 40_000)
        host = IPv4Address("TCP", "192.168.1.1", 10911)
        self.wire = StringTransport(hostAddress=host, peerAddress=address)
        self.protocol = factory.buildProtocol(address)  # type: ignore[attr-defined]
        self.protocol.makeConnection(self.wire)
        self._frames = FrameReader()
        self._opaque = 0
        self._taken = b""

    def stop_reading(self) -> None:
        """From now on, take no more than the socket's buffers hold."""
        self.wire.write = self._write_to_full_buffers  # type: ignore[method-assign]

    def read_on(self) -> None:
        """Take what is in the buffers; what was received by then is for `received`."""
        data = self.wire.value()
        self.wire.clear()
        self._taken += data
        self.protocol.resumeProducing()

    def _write_to_full_buffers(self, data: bytes) -> None:
        StringTransport.write(self.wire, data)
        if len(self.wire.value()) > BUFFER_SIZE:
            self.protocol.pauseProducing()

    def send(self, command: RemotingCommand) -> int:
        """Send a request; return its id."""
        self._opaque += 1
        command.opaque = self._opaque
        self.protocol.dataReceived(encode_frame(command))
        return self._opaque

    def request(
        self, code: int, header: TypedHeader | dict[str, str] | None = None, body: object = b""
    ) -> int:
        ext = header.to_ext() if isinstance(header, TypedHeader) else header or {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(RemotingCommand(code, ext, data))

    def received(self) -> list[RemotingCommand]:
        """Everything that came since this was asked last."""
        data, self._taken = self._taken + self.wire.value(), b""
        self.wire.clear()
        return list(self._frames.feed(data))

    def call(
        self, code: int, header: TypedHeader | dict[str, str] | None = None, body: object = b""
    ) -> RemotingCommand:
        """Send a request; its answer must be the one thing that comes."""
        opaque = self.request(code, header, body)
        (response,) = self.received()
        assert response.opaque == opaque
        assert response.is_response
        return response

    def publish(self, topic: str, body: bytes, properties: str = "", system_flag: int = 0) -> int:
        """Send a message; return its queue offset."""
        response = self.call(
            RequestCode.SEND_MESSAGE_V2,
            send_header(topic, properties, system_flag).to_letters(),
            body,
        )
        assert response.code == 0, response.remark
        return int(response.ext_fields["queueOffset"])

    def lose(self) -> None:
        """The connection breaks."""
        self.protocol.connectionLost()


def send_header(topic: str, properties: str = "", system_flag: int = 0) -> SendMessageRequest:
    return SendMessageRequest(
        producer_group="PG",
        topic=topic,
        queue_id=0,
        sys_flag=system_flag,
        born_timestamp=1_600_000_000_000,
        flag=7,
        properties=properties,
    )


def pull_header(
    group: str,
    topic: str,
    offset: int,
    expression: str = "*",
    suspend_ms: int = 0,
    count: int = 32,
    queue_id: int = 0,
) -> PullMessageRequest:
    flag = PullFlag.SUBSCRIPTION | (PullFlag.SUSPEND if suspend_ms else 0)
    return PullMessageRequest(
        group, topic, queue_id, offset, count, flag, 0, suspend_ms, 0, expression, "TAG"
    )


def records(response: RemotingCommand) -> list[Record]:
    return decode_records(response.body)


def bodies(response: RemotingCommand) -> list[bytes]:
    return [record.body for record in records(response)]


def packed(body: bytes) -> bytes:
    return zlib.compress(body)
