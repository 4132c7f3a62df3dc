"""The AMQP front end: its ports, and its connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from gateway.connections import Ends
from gateway.front_end import Listener
from gateway.gateway import Gateway
from gateway.messages import Language
from gateway.service.peers import peer_at
from protocols.amqp.config import AmqpConfig
from protocols.amqp.connection import AmqpConnection
from protocols.amqp.language import AmqpLanguage
from protocols.transport import ConnectionTransport


class AmqpFrontEnd:
    """All AMQP connections."""

    section: ClassVar[str] = "amqp"
    config_class: ClassVar[type[AmqpConfig]] = AmqpConfig
    languages: ClassVar[Sequence[Language]] = (AmqpLanguage(),)

    def __init__(self, gateway: Gateway, section: AmqpConfig, clock: IReactorTime) -> None:
        self._gateway = gateway
        self._section = section
        self._factory = AmqpFactory(gateway, section, clock)

    def listeners(self) -> Sequence[Listener]:
        """One port, and one for TLS."""
        listeners = [Listener("amqp", self._section.port, self._factory)]
        if self._section.tls:
            listeners.append(Listener("amqps", self._section.tls_port, self._factory, tls="only"))
        return listeners

    def listening(self, name: str, host: str, port: int) -> None:
        """The connections are named after the address."""
        self._factory.addresses[name == "amqps"] = (host, port)

    def stop(self) -> None:
        """Close all connections as RabbitMQ does when it shuts down."""
        reason = "broker forced connection closure with reason 'shutdown'"
        for connection in list(self._factory.connections):
            connection.shut_down(reason)
        self._gateway.turn.end()


class AmqpFactory(Factory):
    """Builds a transport with a connection in it, and knows those that live."""

    noisy = False

    def __init__(self, gateway: Gateway, section: AmqpConfig, clock: IReactorTime) -> None:
        self.connections: dict[AmqpConnection, None] = {}
        self.addresses = dict.fromkeys((False, True), ("", section.port))  # Where it listens.
        self._gateway = gateway
        self._clock = clock
        self._section = section
        (self._language,) = AmqpFrontEnd.languages

    def buildProtocol(self, addr: IAddress | None) -> ConnectionTransport:  # noqa: N802
        """Twisted: a peer has connected."""
        transport = ConnectionTransport(self._gateway.turn, self._clock, self._gateway.broker)
        language, peer = self._language, peer_at(addr)
        assert isinstance(language, AmqpLanguage)
        connection = AmqpConnection(
            self._gateway,
            language,
            self._section,
            peer,
            transport.wake,
            transport.throttle,
            self._clock.seconds(),
            Ends(peer.host, peer.port, *self.addresses[peer.tls], peer.tls),
        )
        self.connections[connection] = None
        transport.attach(connection, lambda: self.connections.pop(connection, None))
        return transport
