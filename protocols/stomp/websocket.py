"""STOMP in a WebSocket, as pure state: wraps a STOMP connection and is itself a connection.

Inwards, messages are a stream of octets: where they begin and end means nothing to STOMP. What one
read brings is handed on together, as over TCP, so that one read stays one append. Outwards, every
frame is a message of its own, and so is every heart-beat.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from weakref import ref

from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from protocols.stomp.codec import split_frames
from protocols.stomp.config import StompConfig
from protocols.stomp.connection import State, StompConnection
from protocols.stomp.websocket_handshake import Handshake, HandshakeRefusedError

_END_SIZE = 2  # NUL and LF, which do not count in the size of a frame.
_COLLECTED_SIZE_MAX = 256 * 1024  # More is handed on at once: inflated, a read may be huge.
_CLOSE_TIMEOUT_S = 2.0  # How long the peer may take to answer our close.
_DIED = "STOMP died"  # RabbitMQ's words for every end that is not the peer's fault.


class WebSocketState(Enum):
    """Where a WebSocket is in its life."""

    OPENING = auto()  # The HTTP request has not been answered.
    OPEN = auto()
    CLOSING = auto()  # We have closed; STOMP is over, and only the peer's close is awaited.
    CLOSED = auto()


class WebSocketConnection:
    """See `protocols.transport.Connection`; times are seconds of the clock."""

    def __init__(self, stomp: StompConnection, config: StompConfig) -> None:
        self.state = WebSocketState.OPENING
        self.closed = False
        self._stomp = stomp
        self._text = config.websocket_frame == "text"
        self._max_message_size = _max_message_size(stomp)
        self._handshake = Handshake(config, self._max_message_size)
        self._wire = self._handshake.wire
        self._broken = False  # The peer speaks no WebSocket: there is nothing to understand.
        self._outgoing: list[bytes] = []
        self._collected: list[bytes | bytearray] = []  # Come, but not handed on.
        self._collected_size = 0
        self._message_size = 0  # Of the message that is coming.
        self._close_deadline: float | None = None  # None: not known yet.

    def receive_data(self, data: bytes, now: float) -> None:
        """Take in what arrived; what must be answered waits in `data_to_send`."""
        if self.state is WebSocketState.OPENING:
            self._open(data)
            return
        if self._broken:
            return
        self._wire.receive_data(data)
        for event in self._wire.events():
            match event:
                case TextMessage() | BytesMessage():
                    self._take(event, now)
                case Ping() if self.state is WebSocketState.OPEN:
                    self._outgoing.append(self._wire.send(event.response()))
                case CloseConnection():
                    self._hand_on(now)
                    self._handle_close(event)
            if self._broken or self.closed:
                return
        self._hand_on(now)

    def data_to_send(self) -> bytes:
        """Everything queued for the peer; empties the queue."""
        if self.state is WebSocketState.OPEN:
            self._outgoing += map(self._encode, split_frames(self._stomp.data_to_send()))
            if self._stomp.closed:
                if self._stomp.violation is None:
                    self._close(CloseReason.NORMAL_CLOSURE, _DIED)
                else:
                    self._close(CloseReason.INVALID_FRAME_PAYLOAD_DATA, self._stomp.violation)
        elif self.state is WebSocketState.OPENING and self._stomp.closed:
            self._end()
        octets = b"".join(self._outgoing)
        self._outgoing.clear()
        return octets

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, if at all."""
        if self.state is WebSocketState.CLOSING:
            return self._close_deadline or 0.0  # At once, to learn what time it is.
        return self._stomp.next_deadline()

    def handle_deadline(self, now: float) -> None:
        """A handshake, a login, a heart-beat or an answer to our close is overdue."""
        if self.state is not WebSocketState.CLOSING:
            self._stomp.handle_deadline(now)
        elif self._close_deadline is None:
            self._close_deadline = now + _CLOSE_TIMEOUT_S
        elif now >= self._close_deadline:
            self._end()

    def pause_delivery(self) -> None:
        """The peer does not read: deliver nothing more to it."""
        self._stomp.pause_delivery()

    def resume_delivery(self) -> None:
        """The peer reads again."""
        self._stomp.resume_delivery()

    def connection_lost(self) -> None:
        """The socket is gone: give back what was in flight, forget the rest."""
        self._end()

    def shut_down(self) -> None:
        """The broker stops: say so, and hang up."""
        self._stomp.shut_down()

    def _open(self, data: bytes) -> None:
        try:
            answer = self._handshake.receive_data(data)
        except HandshakeRefusedError as refused:
            self._outgoing.append(refused.answer)
            self._end()
            return
        if answer:
            self._outgoing.append(answer)
            self._stomp.login.credentials = self._handshake.credentials
            self.state = WebSocketState.OPEN

    def _take(self, message: TextMessage | BytesMessage, now: float) -> None:
        """Collect a part of a message, or all of it."""
        if self.state is not WebSocketState.OPEN or self._stomp.closed:
            return
        data = message.data.encode() if isinstance(message, TextMessage) else message.data
        self._message_size += len(data)
        if self._message_size > self._max_message_size():
            self._hand_on(now)
            self._fail(CloseReason.MESSAGE_TOO_BIG, "a message is larger than a frame may be")
            return
        if message.message_finished:
            self._message_size = 0
        self._collected.append(data)
        self._collected_size += len(data)
        # Before login, what came decides how much more may come.
        if self._collected_size > _COLLECTED_SIZE_MAX or self._stomp.state is State.CONNECTING:
            self._hand_on(now)

    def _hand_on(self, now: float) -> None:
        octets = b"".join(self._collected)
        self._collected.clear()
        self._collected_size = 0
        if octets and not self._stomp.closed:
            self._stomp.receive_data(octets, now)

    def _handle_close(self, close: CloseConnection) -> None:
        """The peer closes, or answers our close; or wsproto gives up on what it sends."""
        if self._wire.state is ConnectionState.REMOTE_CLOSING:
            self._outgoing.append(self._wire.send(close.response()))
            self._end()
        elif self._wire.state is ConnectionState.CLOSED:
            self._end()
        else:
            self._fail(close.code, close.reason or "")

    def _fail(self, code: int, reason: str) -> None:
        """The peer breaks the rules of WebSocket."""
        self._broken = True
        if not self._stomp.closed:
            self._stomp.connection_lost()
        if self.state is WebSocketState.OPEN:
            self._close(code, reason)

    def _close(self, code: int, reason: str) -> None:
        self._outgoing.append(self._wire.send(CloseConnection(code, reason)))
        self.state = WebSocketState.CLOSING

    def _end(self) -> None:
        if not self._stomp.closed:
            self._stomp.connection_lost()
        self.state = WebSocketState.CLOSED
        self.closed = True

    def _encode(self, frame: bytes) -> bytes:
        if self._text:
            try:
                return self._wire.send(TextMessage(frame.decode()))
            except UnicodeDecodeError:
                pass  # A binary body; a browser would hang up on it as text.
        return self._wire.send(BytesMessage(frame))


def _max_message_size(stomp: StompConnection) -> Callable[[], int]:
    """Tells it for as long as there is the connection.

    wsproto goes in circles: what it knew would stay until the garbage collector comes.
    """
    known = ref(stomp)

    def tell() -> int:
        stomp = known()
        return 0 if stomp is None else stomp.max_frame_size + _END_SIZE

    return tell
