"""The STOMP plug-in: ports for TCP and WebSocket, plain and over TLS; one connection per peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from gateway.connections import Ends
from gateway.front_end import Listener
from gateway.messages import Language
from gateway.service.peers import Peer, peer_at
from protocols.stomp.config import StompConfig
from protocols.stomp.connection import StompConnection
from protocols.stomp.language import STOMP
from protocols.stomp.websocket import WebSocketConnection
from protocols.transport import ConnectionTransport

if TYPE_CHECKING:
    from gateway.gateway import Gateway


class StompFactory(Factory):
    """Makes a connection in its transport for each peer, and knows which are open."""

    noisy = False

    def __init__(self, gateway: Gateway, config: StompConfig, clock: IReactorTime) -> None:
        self._gateway = gateway
        self._config = config
        self._clock = clock
        self._open: dict[StompConnection | WebSocketConnection, None] = {}
        self.addresses = dict.fromkeys((False, True), ("", config.port))  # Where it listens.

    def buildProtocol(self, addr: IAddress | None) -> ConnectionTransport:  # noqa: N802
        """Twisted: a peer has connected."""
        transport = ConnectionTransport(self._gateway.turn, self._clock, self._gateway.broker)
        connection = self._connection(peer_at(addr), transport)
        self._open[connection] = None
        transport.attach(connection, lambda: self._open.pop(connection, None))
        return transport

    def _connection(
        self, peer: Peer, transport: ConnectionTransport
    ) -> StompConnection | WebSocketConnection:
        return self._stomp_connection(peer, transport)

    def _stomp_connection(self, peer: Peer, transport: ConnectionTransport) -> StompConnection:
        return StompConnection(
            self._gateway,
            self._config,
            peer.host,
            transport.wake,
            transport.throttle,
            self._clock.seconds(),
            Ends(peer.host, peer.port, *self.addresses[peer.tls], peer.tls),
            peer.certificate_user,
        )

    def shut_down(self) -> None:
        """Say goodbye on every connection."""
        for connection in list(self._open):
            connection.shut_down()
        self._gateway.turn.end()


class WebSocketFactory(StompFactory):
    """The same, for peers that speak STOMP in a WebSocket."""

    def _connection(self, peer: Peer, transport: ConnectionTransport) -> WebSocketConnection:
        return WebSocketConnection(self._stomp_connection(peer, transport), self._config)


class StompFrontEnd:
    """See `gateway.front_end.FrontEnd`."""

    section: ClassVar[str] = "stomp"
    config_class: ClassVar[type[StompConfig]] = StompConfig
    languages: ClassVar[Sequence[Language]] = (STOMP,)

    def __init__(self, gateway: Gateway, section: StompConfig, clock: IReactorTime) -> None:
        self._section = section
        self._factory = StompFactory(gateway, section, clock)
        self._websocket_factory = WebSocketFactory(gateway, section, clock)

    def listeners(self) -> Sequence[Listener]:
        """The ports to open."""
        section = self._section
        listeners = [
            Listener("stomp", section.port, self._factory),
            Listener("ws", section.websocket_port, self._websocket_factory),
        ]
        if section.tls:
            listeners += [
                Listener("stomp+ssl", section.tls_port, self._factory, tls="only"),
                Listener("wss", section.websocket_tls_port, self._websocket_factory, tls="only"),
            ]
        return listeners

    def listening(self, name: str, host: str, port: int) -> None:
        """The connections are named after the address."""
        factory = self._websocket_factory if name in ("ws", "wss") else self._factory
        factory.addresses[name in ("stomp+ssl", "wss")] = (host, port)

    def stop(self) -> None:
        """Tell every client that the broker goes, and hang up."""
        self._factory.shut_down()
        self._websocket_factory.shut_down()
