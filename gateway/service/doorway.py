"""Where a peer waits until it is known who it is and what it speaks.

A front end makes a connection for a `Peer`: its address and its certificate. Behind a proxy, and
under TLS, neither is known when the socket opens. So a doorway takes the socket first, and asks the
front end's factory for a protocol only when it can say for whom. From then on it is a bystander:
the protocol writes to the transport directly, and reads without a detour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.service.addresses import format_address
from gateway.service.peers import Peer, peer_at

_CLIENT_HELLO = 0x16  # The first octet of a TLS handshake record; no protocol of ours begins so.


class Doorway(Protocol):
    """Holds a connection until it is handed over; one that is not in time is cut off."""

    _log = Logger()
    transport: Any  # A TCP transport, or what wraps one.

    def __init__(self, clock: IReactorTime, timeout_s: float) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._timer: IDelayedCall | None = None
        self._inside: IProtocol | None = None

    def connectionMade(self) -> None:
        """Twisted: the socket is open."""
        self._timer = self._clock.callLater(self._timeout_s, self._too_late)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the socket is closed."""
        self._cancel_timer()
        inside, self._inside = self._inside, None
        # They know each other by way of the transport; let go, they need no garbage collector.
        vars(self).pop("dataReceived", None)
        if inside is not None:
            inside.connectionLost(reason)

    def hand_over(self, factory: IProtocolFactory, peer: Peer) -> IProtocol | None:
        """Let the peer in: `factory` makes the protocol that has the transport from now on."""
        self._cancel_timer()
        protocol = factory.buildProtocol(peer)
        if protocol is None:
            self.transport.abortConnection()
            return None
        self._inside = protocol
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        protocol.makeConnection(self.transport)
        return protocol

    def _too_late(self) -> None:
        self._timer = None
        self._log.debug("cut off {peer}: nothing useful came", peer=_name(self.transport))
        self.transport.abortConnection()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class FirstOctetDoorway(Doorway):
    """Waits for the first octet: by then a proxy has announced the peer, and TLS shows itself."""

    def __init__(
        self,
        plain: IProtocolFactory,
        tls: IProtocolFactory | None,
        clock: IReactorTime,
        timeout_s: float,
    ) -> None:
        super().__init__(clock, timeout_s)
        self._plain = plain
        self._tls = tls

    def dataReceived(self, data: bytes) -> None:
        """Twisted: the first bytes; what follows goes to the protocol."""
        is_tls = self._tls is not None and data[0] == _CLIENT_HELLO
        factory = self._tls if self._tls is not None and is_tls else self._plain
        protocol = self.hand_over(factory, peer_at(self.transport.getPeer()))
        if protocol is not None:
            protocol.dataReceived(data)


@implementer(IHandshakeListener)
class HandshakeDoorway(Doorway):
    """Inside TLS: waits for the handshake to end, which tells the user that the peer may be."""

    def __init__(
        self,
        factory: IProtocolFactory,
        user_of: Callable[[Any], str | None],
        clock: IReactorTime,
        timeout_s: float,
    ) -> None:
        super().__init__(clock, timeout_s)
        self._factory = factory
        self._user_of = user_of

    def handshakeCompleted(self) -> None:
        """Twisted: both sides have agreed on keys, and the peer's certificate was verified."""
        peer = peer_at(self.transport.getPeer())
        user = self._user_of(self.transport)
        self.hand_over(self._factory, Peer(peer.host, peer.port, user, tls=True))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the socket is closed."""
        refusal = _openssl_reason(reason)
        if self._inside is None and refusal is not None:  # Else it just went, as a probe does.
            self._log.info(
                "no TLS handshake with {peer}: {reason}",
                peer=_name(self.transport),
                reason=refusal,
            )
        super().connectionLost(reason)


class DoorwayFactory(ServerFactory[Doorway]):
    """Makes a doorway for each connection; `factory` is where it leads."""

    noisy = False

    def __init__(
        self, factory: IProtocolFactory, make_doorway: Callable[[IAddress | None], Doorway]
    ) -> None:
        self._factory = factory
        self._make_doorway = make_doorway

    def buildProtocol(self, addr: IAddress | None) -> Doorway:
        """Twisted: somebody connects."""
        return self._make_doorway(addr)

    def startFactory(self) -> None:
        """Twisted: the port is open."""
        self._factory.doStart()

    def stopFactory(self) -> None:
        """Twisted: the port is closed."""
        self._factory.doStop()


def _name(transport: Any) -> str:
    peer = peer_at(transport.getPeer())
    return format_address(peer.host, peer.port)


def _openssl_reason(reason: Failure) -> str | None:
    """What OpenSSL disliked, if it did: its errors hold a list of (library, function, reason)."""
    arguments = getattr(reason.value, "args", ())
    if arguments and isinstance(arguments[0], list) and arguments[0]:
        return str(arguments[0][-1][-1])
    return None
