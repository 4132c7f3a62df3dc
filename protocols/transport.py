"""The Twisted shell that every front end runs in: bytes and deadlines, nothing else.

A connection is pure state: `receive_data` in, `data_to_send` out, time as an argument. This is the
only place where a protocol meets a socket, and where an unforeseen exception is caught: it is
logged, and the peer is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from typing import Protocol as Port

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from core.turn import Turn


class Connection(Port):
    """One peer's connection, as pure state. All times are seconds of the clock."""

    closed: bool  # Send what is left, then hang up.

    def receive_data(self, data: bytes, now: float) -> None:
        """Take in what arrived; what must be answered waits in `data_to_send`."""

    def data_to_send(self) -> bytes:
        """Everything queued for the peer; empties the queue."""

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, if at all."""

    def handle_deadline(self, now: float) -> None:
        """A deadline has come: a heartbeat is due, or the peer is dead."""

    def pause_delivery(self) -> None:
        """The peer does not read: deliver nothing more to it."""

    def resume_delivery(self) -> None:
        """The peer reads again."""

    def connection_lost(self) -> None:
        """The socket is gone: give back what was in flight, forget the rest."""


_BUFFER_SIZE = 128 << 10
# How long a peer may take what is left for it, and say goodbye (TLS), before it is cut off.
_LINGER_S = 30.0


# Takes what is to be called when a peer may be read again.
WhenRelieved: TypeAlias = "Callable[[Callable[[], None]], None]"


class Throttle(Port):
    """`ConnectionTransport.throttle`, as a connection calls it."""

    def __call__(self, when_relieved: WhenRelieved | None = None) -> None:
        """Read nothing until the disk has caught up, or `when_relieved` says so."""


class Congestion(Port):
    """Who tells when publishers may go on; the broker."""

    def when_relieved(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the disk has caught up."""


def _do_nothing() -> None:
    """What a transport calls when nobody wants to know that it is lost."""


@implementer(IPushProducer)
class ConnectionTransport(Protocol):
    """Pump bytes and deadlines between one socket and one connection.

    Writing happens at the end of a turn: a connection that has something to send calls
    `wake`, and the turn then calls `flush` once.
    """

    _log = Logger()
    # Twisted's interfaces for these are several; a TCP or TLS transport has them all.
    transport: Any

    def __init__(self, turn: Turn, clock: IReactorTime, congestion: Congestion) -> None:
        self._turn = turn
        self._congestion = congestion
        self._clock = clock
        self._connection: Connection | None = None
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0
        self._throttled_by: dict[WhenRelieved, None] = {}
        self._peer_reads = True
        self._hung_up = False
        self._lost: Callable[[], object] = _do_nothing

    def attach(self, connection: Connection, lost: Callable[[], object] | None = None) -> None:
        """Run `connection` in this transport; call before the first byte arrives.

        `lost` is called when the socket is gone.
        """
        self._connection = connection
        self._lost = lost or _do_nothing

    def wake(self) -> None:
        """Flush this connection when the turn ends; may be called any number of times."""
        self._turn.writers[self] = None

    def connectionMade(self) -> None:
        """Twisted: the socket is open."""
        # Twisted reads so much at once, and pauses its producer when so much waits to be sent.
        _socket_of(self.transport).bufferSize = _BUFFER_SIZE
        self.transport.registerProducer(self, True)
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.wake()
        self._turn.end()

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes arrived."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            connection.receive_data(data, self._clock.seconds())
        except Exception:
            self._drop("while reading from the peer")
        self.wake()
        self._turn.end()

    def flush(self) -> None:
        """Write what the connection has queued, then re-arm its deadline."""
        connection = self._connection
        if connection is None or self.transport is None or self._hung_up:
            return
        try:
            outgoing = connection.data_to_send()
        except Exception:
            self._drop("while writing to the peer")
            return
        if outgoing:
            self.transport.write(outgoing)
        if connection.closed:
            self._hang_up()
            return
        due = connection.next_deadline()
        if due is None:
            self._cancel_timer()
        elif self._timer is None or due < self._timer_due:
            self._arm(due)

    def throttle(self, when_relieved: WhenRelieved | None = None) -> None:
        """Read nothing more from this peer until the disk has caught up.

        Or for another reason: then `when_relieved` takes what is to be called when it is gone.
        """
        reason = when_relieved or self._congestion.when_relieved
        if reason not in self._throttled_by:
            self._throttled_by[reason] = None
            self._apply_reading()
            reason(lambda: self._relieved(reason))

    def pauseProducing(self) -> None:
        """Twisted: the socket's write buffer is full. The peer does not read, so nor do we."""
        self._peer_reads = False
        self._apply_reading()
        if self._connection is not None:
            self._connection.pause_delivery()

    def resumeProducing(self) -> None:
        """Twisted: the socket's write buffer is empty again."""
        self._peer_reads = True
        self._apply_reading()
        if self._connection is not None:
            self._connection.resume_delivery()
            self.wake()
            self._turn.end()

    def stopProducing(self) -> None:
        """Twisted: the socket is gone; `connectionLost` follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the socket is closed."""
        self._cancel_timer()
        connection, self._connection = self._connection, None
        self._turn.writers.pop(self, None)
        if connection is not None:
            connection.connection_lost()
            lost, self._lost = self._lost, _do_nothing  # It knows the connection, which knows us.
            lost()
            self._turn.end()

    def _hang_up(self) -> None:
        self._hung_up = True
        self._cancel_timer()
        if self._throttled_by or not self._peer_reads:
            self.transport.resumeProducing()  # TLS waits for the peer's goodbye.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._timer = self._clock.callLater(_LINGER_S, self._cut_off)

    def _cut_off(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _relieved(self, reason: WhenRelieved) -> None:
        self._throttled_by.pop(reason, None)
        if self._connection is not None and not self._hung_up:
            self._apply_reading()

    def _apply_reading(self) -> None:
        if self._peer_reads and not self._throttled_by:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    def _arm(self, due: float) -> None:
        self._cancel_timer()
        self._timer_due = due
        self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._on_due)

    def _on_due(self) -> None:
        """A deadline that moved on meanwhile is only armed again: moving it costs nothing."""
        self._timer = None
        connection = self._connection
        if connection is None or connection.closed:
            return
        now = self._clock.seconds()
        due = connection.next_deadline()
        if due is not None and due <= now:
            connection.handle_deadline(now)
        self.wake()
        self._turn.end()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self, doing: str) -> None:
        self._log.failure("dropping a connection: error {doing}", doing=doing)
        self._hung_up = True
        self._cancel_timer()
        self.transport.abortConnection()


def _socket_of(transport: Any) -> Any:
    """What is below TLS and the PROXY protocol."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport
