"""Opens the ports of the front ends, and knows which connections are open on them.

What a connection goes through, from the socket inwards: the PROXY header, if listeners expect one;
TLS, if the listener has it; a doorway where either leaves open who the peer is; the front end's own
protocol. Without PROXY and TLS, that one has the socket to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from gateway.config import ListenConfig
from gateway.service.addresses import format_address
from gateway.service.doorway import DoorwayFactory, FirstOctetDoorway

if TYPE_CHECKING:
    from gateway.front_end import Listener
    from gateway.service.tls import Tls

_BACKLOG = 1024  # Connections that wait to be accepted; clients reconnect all at once.


class ListenError(Exception):
    """A port cannot be opened; the text says which and why."""


class Listeners:
    """The open ports and the connections that came in through them."""

    def __init__(self, reactor: Any, config: ListenConfig, tls: Tls | None = None) -> None:
        self._reactor = reactor
        self._config = config
        self._host = config.host
        self._tls = tls
        self._ports: list[IListeningPort] = []
        self._connections: dict[IProtocol, None] = {}
        self._waiting: list[Deferred[None]] = []  # For the last connection to go.

    def open(self, listener: Listener) -> tuple[str, int] | None:
        """Listen; the answer is the address, with the real port if port 0 was asked for.

        None if the listener is one for TLS, and TLS is not configured. Raises `ListenError`.
        """
        factory = self._dress(listener)
        if factory is None:
            return None
        factory = _WatchedFactory(factory, self._connections, self._on_lost)
        try:
            port = self._listen(listener.port, factory)
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise ListenError(
                f"cannot listen on {format_address(self._host, listener.port)} "
                f"for {listener.name}: {reason}"
            ) from None
        self._ports.append(port)
        return self._host, cast(IPv4Address, port.getHost()).port

    def stop_accepting(self) -> Deferred[Any]:
        """Close the ports; connections stay. Fires when all are closed."""
        ports, self._ports = self._ports, []
        stopped = [port.stopListening() for port in reversed(ports)]
        return DeferredList([done for done in stopped if done is not None])

    def when_idle(self) -> Deferred[None]:
        """Fires when no connection is left, at once if there is none."""
        idle: Deferred[None] = Deferred()
        self._waiting.append(idle)
        self._check_idle()
        return idle

    def abort_connections(self) -> int:
        """Hang up on whoever is left; returns how many there were."""
        left = list(self._connections)
        for protocol in left:
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abortConnection()
        return len(left)

    def _listen(self, port: int, factory: IProtocolFactory) -> IListeningPort:
        if self._config.proxy_protocol:
            # This imports much that nothing else needs.
            from gateway.service.proxy_header import expect_header

            factory = expect_header(factory)
        listening: IListeningPort = self._reactor.listenTCP(
            port, factory, backlog=_BACKLOG, interface=self._host
        )
        return listening

    def _dress(self, listener: Listener) -> IProtocolFactory | None:
        """The listener's factory, in TLS and behind a doorway as far as it needs them."""
        plain, clock = listener.factory, self._reactor
        timeout_s = self._config.handshake_timeout_s
        tls = None
        if self._tls is not None and listener.tls != "no":
            tls = self._tls.wrap(plain, clock, timeout_s)
        if listener.tls == "only":
            return tls
        if tls is None and not self._config.proxy_protocol:
            return plain

        def make_doorway(address: IAddress | None) -> FirstOctetDoorway:
            return FirstOctetDoorway(plain, tls, clock, listener.silence_s)

        return DoorwayFactory(plain, make_doorway)

    def _on_lost(self, protocol: IProtocol) -> None:
        self._connections.pop(protocol, None)
        self._check_idle()

    def _check_idle(self) -> None:
        if self._connections:
            return
        waiting, self._waiting = self._waiting, []
        for idle in waiting:
            if not idle.called:  # It may have been cancelled.
                idle.callback(None)


class _WatchedFactory(ServerFactory[Any]):
    """A front end's factory, with a note kept of every protocol from made to lost."""

    noisy = False

    def __init__(
        self,
        factory: IProtocolFactory,
        connections: dict[IProtocol, None],
        on_lost: Callable[[IProtocol], None],
    ) -> None:
        self._factory = factory
        self._connections = connections
        self._on_lost = on_lost

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Twisted: somebody connects."""
        assert addr is not None
        protocol = self._factory.buildProtocol(addr)
        if protocol is None:
            return None
        lose = protocol.connectionLost

        def connection_lost(reason: Failure) -> None:
            del protocol.connectionLost  # So that it needs no garbage collector.
            try:
                lose(reason)
            finally:
                self._on_lost(protocol)

        protocol.connectionLost = connection_lost  # type: ignore[method-assign]
        self._connections[protocol] = None
        return protocol

    def startFactory(self) -> None:
        """Twisted: the port is open."""
        self._factory.doStart()

    def stopFactory(self) -> None:
        """Twisted: the port is closed."""
        self._factory.doStop()
