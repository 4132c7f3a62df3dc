"""Opens the ports of the front ends, and knows which connections are open on them.

Only the listening is watched, never the bytes: a connection's own protocol talks to its socket
directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
)
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from gateway.addresses import format_address

if TYPE_CHECKING:
    from protocols.front_end import Listener

_BACKLOG = 1024  # Connections that wait to be accepted; clients reconnect all at once.


class ListenError(Exception):
    """A port cannot be opened; the text says which and why."""


class Listeners:
    """The open ports and the connections that came in through them."""

    def __init__(self, reactor: IReactorTCP, host: str) -> None:
        self._reactor = reactor
        self._host = host
        self._ports: list[IListeningPort] = []
        self._connections: dict[IProtocol, None] = {}
        self._waiting: list[Deferred[None]] = []  # For the last connection to go.

    def open(self, listener: Listener) -> tuple[str, int]:
        """Listen; the answer is the address, with the real port if port 0 was asked for.

        Raises `ListenError`.
        """
        factory = _WatchedFactory(listener.factory, self._connections, self._on_lost)
        try:
            port = self._reactor.listenTCP(
                listener.port, factory, backlog=_BACKLOG, interface=self._host
            )
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
