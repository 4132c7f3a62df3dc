"""A STOMP client for tests: real octets through the real transport to a real gateway."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gateway.gateway import Gateway
from gateway.messages import Language
from gateway.service.peers import Peer as PeerAddress
from protocols.amqp.front_end import AmqpFrontEnd
from protocols.stomp.codec import Frame, parse_header_block
from protocols.stomp.config import StompConfig
from protocols.stomp.front_end import StompFactory, StompFrontEnd, WebSocketFactory
from tests.support.disk import HeldDisk


class StompBroker:
    """A gateway on a folder, with a STOMP front end; `connect` makes clients of it."""

    languages: tuple[Language, ...] = tuple(StompFrontEnd.languages)

    def __init__(self, folder: Path, config: StompConfig | None = None) -> None:
        self.clock = Clock()
        self.disk = HeldDisk()
        self.gateway = Gateway(folder, self.clock, self.disk.run)
        for language in self.languages:
            self.gateway.add_language(language)
        self.gateway.start()
        self.virtual_host = self.gateway.default_virtual_host
        config = config or StompConfig()
        self.factory = StompFactory(self.gateway, config, self.clock)
        self.websocket_factory = WebSocketFactory(self.gateway, config, self.clock)

    def peer(self, host: str = "127.0.0.1", certificate_user: str | None = None) -> Peer:
        """A client that has said nothing yet."""
        return Peer(self, host, certificate_user)

    def connect(self, version: str = "1.2", **headers: str) -> Peer:
        """A client that is logged in."""
        peer = self.peer()
        peer.frame("CONNECT", accept_version=version, **headers)
        connected = peer.receive()
        assert connected.command == "CONNECTED", connected
        peer.session = connected.headers["session"]
        return peer

    def stop(self) -> None:
        self.gateway.stop()


class BuryingBroker(StompBroker):
    """One that can write dead letters: their language is AMQP's."""

    languages = (*StompBroker.languages, *AmqpFrontEnd.languages)


class Peer:
    """One client: `send` octets or `frame`s, `receive` frames."""

    def __init__(self, broker: StompBroker, host: str, certificate_user: str | None = None) -> None:
        self.wire = StringTransport(peerAddress=IPv4Address("TCP", host, 40_000))
        self.protocol = broker.factory.buildProtocol(PeerAddress(host, 40_000, certificate_user))
        self.protocol.makeConnection(self.wire)  # type: ignore[no-untyped-call]
        self.session = ""
        self._received = b""

    def send(self, octets: bytes) -> None:
        self.protocol.dataReceived(octets)

    def frame(self, command: str, body: bytes = b"", /, **headers: str) -> None:
        """Send one frame; an underscore in a header's name stands for a hyphen."""
        self.send(encode(command, body, **headers))

    def octets(self) -> bytes:
        """Everything that came since this was asked last."""
        octets: bytes = self._received + self.wire.value()
        self._received = b""
        self.wire.clear()
        return octets

    def receive(self) -> Frame:
        """The next frame; there must be one."""
        octets = self.octets().lstrip(b"\n")
        assert octets, "nothing came"
        frame, self._received = split(octets)
        return frame

    def receive_all(self) -> list[Frame]:
        frames = []
        while octets := self.octets().lstrip(b"\n"):
            frame, self._received = split(octets)
            frames.append(frame)
        return frames

    def bodies(self) -> list[bytes]:
        frames = self.receive_all()
        assert {frame.command for frame in frames} <= {"MESSAGE"}, frames
        return [frame.body for frame in frames]

    @property
    def hung_up(self) -> bool:
        """Whether the broker has closed the connection."""
        return self.wire.disconnecting

    def lose(self) -> None:
        """The connection breaks."""
        self.protocol.connectionLost()


def encode(command: str, body: bytes = b"", /, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}:{value}\n" for name, value in headers.items()]
    return f"{command}\n{''.join(lines)}\n".encode() + body + b"\0"


def split(octets: bytes) -> tuple[Frame, bytes]:
    """The first frame of what the broker sent, and the rest."""
    head, _, rest = octets.partition(b"\n\n")
    command, _, block = (head + b"\n").partition(b"\n")
    headers = parse_header_block(block)
    size = int(headers.get("content-length", "0"))
    assert rest[size : size + 2] == b"\0\n", octets
    return Frame(command.decode(), headers, rest[:size]), rest[size + 2 :]


def subscribe(peer: Peer, destination: str, id: str | None = "0", **headers: str) -> None:
    """Say SUBSCRIBE; without an id if it is None."""
    if id is not None:
        headers["id"] = id
    peer.frame("SUBSCRIBE", destination=destination, **headers)


def send(peer: Peer, destination: str, *bodies: bytes, **headers: str) -> None:
    """Say SEND, once for each body, in one read."""
    peer.send(b"".join(encode("SEND", body, destination=destination, **headers) for body in bodies))
