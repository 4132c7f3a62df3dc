"""A STOMP client in a WebSocket for tests: wsproto's client side, through the real transport."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tests.support.stomp_peer import StompBroker, encode, split

Headers = Sequence[tuple[bytes, bytes]]


class WebSocketPeer:
    """One client: sends whatever it is told, collects `messages`, `pongs` and how it ended."""

    def __init__(
        self, broker: StompBroker, *, host: str = "127.0.0.1", deflate: bool = False
    ) -> None:
        address = IPv4Address("TCP", host, 40_000)
        self.wire = StringTransport(peerAddress=address)
        self.protocol = broker.websocket_factory.buildProtocol(address)
        self.protocol.makeConnection(self.wire)  # type: ignore[no-untyped-call]
        self.websocket = WSConnection(ConnectionType.CLIENT)
        self.deflate = PerMessageDeflate() if deflate else None
        self.accepted: AcceptConnection | None = None
        self.status: int | None = None  # Of a refusal ...
        self.refusal = b""  # ... and what it says.
        self.refusal_headers: dict[bytes, bytes] = {}
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    def request(
        self,
        target: str = "/ws",
        *,
        host: str = "127.0.0.1:15674",
        subprotocols: Sequence[str] = (),
        headers: Headers = (),
    ) -> bytes:
        """The octets of the opening handshake."""
        octets: bytes = self.websocket.send(
            Request(
                host=host,
                target=target,
                subprotocols=list(subprotocols),
                extra_headers=list(headers),
                extensions=[self.deflate] if self.deflate else [],
            )
        )
        return octets

    def open(self, **options: object) -> WebSocketPeer:
        """Shake hands; see `request`."""
        self.send_octets(self.request(**options))  # type: ignore[arg-type]
        return self

    def log_in(self, version: str = "1.2", **headers: str) -> WebSocketPeer:
        """Shake hands, then CONNECT."""
        self.open()
        self.frame("CONNECT", accept_version=version, **headers)
        (connected,) = self.take()
        assert connected.startswith(b"CONNECTED\n"), connected
        return self

    def send_octets(self, octets: bytes) -> None:
        self.protocol.dataReceived(octets)
        self.listen()

    def send(self, *events: Event) -> None:
        """Send WebSocket events in one write."""
        self.send_octets(b"".join(self.websocket.send(event) for event in events))

    def frame(self, command: str, body: bytes = b"", /, **headers: str) -> None:
        """Send one STOMP frame in one message."""
        self.send(BytesMessage(encode(command, body, **headers)))

    def take(self) -> list[bytes]:
        """The messages that came since this was asked last, as octets."""
        self.listen()
        messages, self.messages = self.messages, []
        return [m.encode() if isinstance(m, str) else m for m in messages]

    def bodies(self) -> list[bytes]:
        return [split(message)[0].body for message in self.take()]

    def listen(self) -> None:
        """Understand what has come so far."""
        octets = self.wire.value()
        self.wire.clear()
        if not octets:
            return
        self.websocket.receive_data(octets)
        for event in self.websocket.events():
            self._hear(event)

    def _hear(self, event: Event) -> None:
        match event:
            case AcceptConnection():
                self.accepted = event
            case RejectConnection():
                self.status = event.status_code
                self.refusal_headers = dict(event.headers)
            case RejectData():
                self.refusal += event.data
            case TextMessage() | BytesMessage():
                assert event.message_finished
                self.messages.append(
                    event.data if isinstance(event, TextMessage) else bytes(event.data)
                )
            case Pong():
                self.pongs.append(bytes(event.payload))
            case CloseConnection():
                self.closed = (event.code, event.reason or "")

    @property
    def hung_up(self) -> bool:
        """Whether the broker has closed the socket."""
        return self.wire.disconnecting
