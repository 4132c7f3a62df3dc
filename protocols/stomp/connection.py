"""One STOMP connection as pure state: login, legal commands, receipts, heart-beats, ERROR."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from core.errors import CoreError, is_disk_full
from gateway.connections import ChannelFacts, ConnectionFacts, Ends
from protocols.stomp.answers import encode_connected, encode_error
from protocols.stomp.codec import Frame, FrameReader
from protocols.stomp.config import StompConfig
from protocols.stomp.errors import RequestRefusedError, StompProtocolError, refusal
from protocols.stomp.heart_beats import HeartBeats
from protocols.stomp.login import Login
from protocols.stomp.outbox import Outbox
from protocols.stomp.publishing import trim
from protocols.stomp.room import RoomOnDisk
from protocols.stomp.session import Session
from protocols.stomp.subscription import Subscription

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from protocols.transport import Throttle

_BEAT = b"\n"
_IMPLICIT = Frame("CONNECT", {})  # Was never said: who just begins is the default user, in 1.0.


class State(Enum):
    """Where a connection is in its life."""

    CONNECTING = auto()  # Nothing but CONNECT or STOMP is legal yet.
    CONNECTED = auto()
    DISCONNECTING = auto()  # DISCONNECT seen: what was sent is being stored, then we hang up.
    CLOSED = auto()


# What each state does with a command: the method; None stands for all other commands.
TRANSITIONS: dict[State, dict[str | None, str]] = {
    State.CONNECTING: {"CONNECT": "log_in", "STOMP": "log_in", None: "refuse"},
    State.CONNECTED: {
        "CONNECT": "hang_up",  # RabbitMQ's connection does not survive it, either.
        "STOMP": "hang_up",
        "DISCONNECT": "disconnect",
        None: "request",
    },
    State.DISCONNECTING: {None: "ignore"},
    State.CLOSED: {None: "ignore"},
}


class StompConnection:
    """See `protocols.transport.Connection`; times are seconds of the clock."""

    def __init__(
        self,
        gateway: Gateway,
        config: StompConfig,
        peer_host: str,
        wake: Callable[[], None],
        throttle: Throttle,
        now: float,
        ends: Ends | None = None,
        certificate_user: str | None = None,
    ) -> None:
        self.state = State.CONNECTING
        self.closed = False
        self.violation: str | None = None  # Why it was closed, if the peer spoke no STOMP.
        self._is_activemq = config.personality == "activemq"
        self.login = Login(gateway, config, peer_host, certificate_user)
        self._gateway = gateway
        self._config = config
        self._ends = ends or Ends(peer_host)
        self._connected_at = now
        self._version = ""
        self._throttle = throttle  # Read no more from this peer until the disk has caught up.
        self._room = RoomOnDisk(throttle, gateway.report_full_disk)
        self._unfinished: Frame | None = None  # Could not be carried out for want of room.
        self._reader = FrameReader(
            min(config.max_frame_size_before_login, config.max_frame_size),
            config.max_header_count,
        )
        self._outbox = Outbox(wake, config.max_output_size)
        self._session: Session | None = None
        self._login_deadline = now + config.login_timeout_s
        self._heart_beats: HeartBeats | None = None

    @property
    def max_frame_size(self) -> int:
        """What the peer may send now, in one frame."""
        return self._reader.max_frame_size

    def receive_data(self, data: bytes, now: float) -> None:
        """Carry out all whole frames; what must be answered waits in `data_to_send`."""
        if self._heart_beats is not None:
            self._heart_beats.heard(now)
        if self._room.is_awaited:
            self._room.keep(data)
        else:
            self._work_off(data, now)

    def _work_off(self, data: bytes, now: float) -> None:
        log_end = self._gateway.broker.log_end
        self._go_on(data, now)
        if self._gateway.broker.log_end != log_end and self._gateway.broker.congested:
            if self._heart_beats is not None:
                self._heart_beats.excused = True
            self._throttle()

    def data_to_send(self) -> bytes:
        """Everything queued for the peer; empties the queue."""
        outbox = self._outbox
        octets = outbox.take()
        if octets and octets != _BEAT and self._heart_beats is not None:
            self._heart_beats.spoken = True
        if outbox.starved and self._session is not None:
            outbox.starved = False
            self._session.wake_queues()
        return octets

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, if at all."""
        if self.state is State.CONNECTING:
            return self._login_deadline
        due = None if self._heart_beats is None else self._heart_beats.next_deadline()
        retry_at = self._room.retry_at
        return due if retry_at is None else retry_at if due is None else min(due, retry_at)

    def handle_deadline(self, now: float) -> None:
        """A login or a heart-beat is overdue, or it is time for ours, or to try to store again."""
        if self.state is State.CONNECTING:
            if now >= self._login_deadline:
                self._close()
            return
        if self._room.retry_at is not None and now >= self._room.retry_at:
            self._try_again(now)
        if self._heart_beats is not None:
            if self._heart_beats.peer_is_dead(now):
                self._close()
            elif self._heart_beats.is_due(now):
                self._outbox.add(_BEAT)

    def pause_delivery(self) -> None:
        """The peer does not read: deliver nothing more to it."""
        self._outbox.pause()
        if self._heart_beats is not None:
            self._heart_beats.deaf = True

    def resume_delivery(self) -> None:
        """The peer reads again."""
        self._outbox.resume()
        if self._heart_beats is not None:
            self._heart_beats.deaf = False
            self._heart_beats.excused = True
        if self._session is not None:
            self._session.wake_queues()

    def connection_lost(self) -> None:
        """The socket is gone: give back what was in flight, forget the rest."""
        self._close()
        # It knows us; a circle would keep what has come until the garbage collector does.
        self._session = None

    def shut_down(self) -> None:
        """The broker stops: say so, as RabbitMQ does, and hang up."""
        self.force_close("broker forced connection closure with reason 'shutdown'")

    # What the gateway's registry asks for

    def facts(self) -> ConnectionFacts:
        """What does not change while the connection is open."""
        return ConnectionFacts(
            protocol=f"STOMP {self._version}",
            ends=self._ends,
            connected_at=self._connected_at,
        )

    def channel_facts(self) -> list[ChannelFacts]:
        """The session is one channel."""
        return [] if self._session is None else [self._session.facts()]

    def force_close(self, reason: str) -> None:
        """Say why, and hang up."""
        if self.state is State.CONNECTED:
            text = f"CONNECTION_FORCED - {reason}"
            self._outbox.add(encode_error("connection_forced", text))
        self._close()

    def _await_room(self, error: OSError, now: float) -> None:
        """What could not be stored stays where it is. Raises what is no full disk."""
        self._room.wait(error, now)
        if self._heart_beats is not None:
            self._heart_beats.excused = True

    def _try_again(self, now: float) -> None:
        """Go on where there was no room, and then with what came meanwhile."""
        if not self._go_on(b"", now):
            return
        later = self._room.found()
        if later and self.state is not State.CLOSED:
            self._work_off(later, now)

    def _go_on(self, data: bytes, now: float) -> bool:
        """Carry out what is there, and what came; False if there is no room for it."""
        frame, self._unfinished = self._unfinished, None
        try:
            if data:
                self._reader.feed(data)
            if frame is not None:
                self._handle(frame, now)
            self._carry_out_frames(now)
            self._flush_session()
        except StompProtocolError as error:
            self._violated(error)
        except OSError as error:
            self._await_room(error, now)
            return False
        return True

    def _violated(self, error: StompProtocolError) -> None:
        """The peer speaks no STOMP any more; what it sent before is good, if there is room."""
        self.violation = str(error)
        try:
            self._flush_session()
        except OSError as refused:
            if not is_disk_full(refused):
                raise
        finally:
            self._close()

    def _carry_out_frames(self, now: float) -> None:
        reader = self._reader
        while self.state is not State.CLOSED:
            if self.state is State.CONNECTED:
                assert self._session is not None
                self._session.take_known(reader)
            frame = reader.next_frame()
            if frame is None:
                return
            self._handle(frame, now)

    def _flush_session(self) -> None:
        if self._session is not None and self.state is State.CONNECTED:
            self._answering(self._session.flush)

    def _handle(self, frame: Frame, now: float) -> None:
        try:
            self._carry_out(frame, now)
        except OSError:
            self._unfinished = frame
            raise

    def _carry_out(self, frame: Frame, now: float) -> None:
        actions = TRANSITIONS[self.state]
        match actions.get(frame.command, actions[None]):
            case "log_in":
                self._answering(lambda: self._log_in(frame, now))
            case "request":
                assert self._session is not None
                session = self._session
                self._answering(lambda: session.handle(frame), frame.headers.get("receipt"))
            case "disconnect":
                self._answering(lambda: self._disconnect(frame))
            case "hang_up":
                self._flush_session()
                self._close()
            case "refuse" if self._config.implicit_connect:
                self._answering(lambda: self._log_in(_IMPLICIT, now))
                if self.state is State.CONNECTED:
                    self._carry_out(frame, now)
            case "refuse":
                text = "You must log in using CONNECT first"
                self._outbox.add(encode_error("Illegal command", text))
                self._close()

    def _answering(self, carry_out: Callable[[], None], receipt: str | None = None) -> None:
        """Do it; if it is refused, answer with ERROR, and hang up if it was that bad.

        What closes a channel in RabbitMQ is no reason to hang up for ActiveMQ, which also names the
        receipt that will not come.
        """
        try:
            carry_out()
        except RequestRefusedError as error:
            refused = error
        except CoreError as error:
            refused = refusal(error, closing=not self._is_activemq)
        else:
            return
        if refused.closing and self._session is not None:
            # What came before the refused frame was carried out by then.
            self._try_to_flush()
        names_receipt = self._is_activemq and receipt is not None
        more = [("receipt-id", receipt or "")] if names_receipt else []
        self._outbox.add(encode_error(refused.message, refused.detail, *more))
        if refused.closing:
            self._close()

    def _try_to_flush(self) -> None:
        assert self._session is not None
        try:
            self._session.flush()
        except (RequestRefusedError, CoreError):
            return

    def _log_in(self, frame: Frame, now: float) -> None:
        login = self.login
        version = login.version(frame.headers)
        headers = trim(frame.headers) if version == "1.0" else frame.headers
        user = login.user(headers)
        virtual_host = login.virtual_host(user, headers)
        heart_beats = HeartBeats.negotiate(headers.get("heart-beat", "0,0"), now)
        self._heart_beats = heart_beats
        session = Session(
            self._gateway,
            virtual_host,
            user,
            version,
            self._outbox,
            self._config,
            self._tell_cancelled,
            headers.get("client-id"),
        )
        self._session = session
        self._version = version
        self._gateway.connections.add(self, user, virtual_host.name)
        self._reader.max_frame_size = self._config.max_frame_size
        self.state = State.CONNECTED
        if frame is not _IMPLICIT:
            name = self._config.server_name
            server = f"{name}/{self._gateway.product_version}" if name else None
            request_id = headers.get("request-id")
            self._outbox.add(
                encode_connected(version, session.identifier, heart_beats, server, request_id)
            )

    def _disconnect(self, frame: Frame) -> None:
        assert self._session is not None
        self._session.flush()
        self.state = State.DISCONNECTING
        self._session.disconnect(frame, self._close)

    def _tell_cancelled(self, subscription: Subscription) -> None:
        """The queue of a subscription was deleted; the session goes on."""
        self._outbox.add(
            encode_error(
                "Server cancelled subscription",
                "The server has canceled a subscription.\n"
                f'No more messages will be delivered for "{subscription.description}".\n',
                ("subscription", subscription.tag[2:]),
            )
        )

    def _close(self) -> None:
        self.state = State.CLOSED
        self.closed = True
        if self._session is not None:
            self._session.close()
            self._gateway.connections.remove(self)
        self._outbox.wake()
