"""One remoting connection: frames in and out, who is answered, and when the peer is gone.

Requests go to the session, one after the other; their answers may come later and in any order, as
each repeats the request's opaque id and header form. A frame that cannot be read closes this
connection and nothing else.

A request of a hundred bytes may be answered with megabytes. So requests wait, and long polls too,
once so much is to be sent, until that is on its way; and while the client does not read, nothing
is done for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import CommandFlag
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import FRAME_SIZE_MAX, FrameReader, encode_frame

# When so much waits to be sent, nothing more is answered until it is written.
_OUTGOING_SIZE_MAX = 256 * 1024


class Session(Protocol):
    """What one peer's requests mean."""

    def handle(self, request: RemotingCommand) -> None:
        """Answer a request now, or later."""

    def finish_read(self) -> None:
        """Do what was put off until all requests of a read are known."""

    def finish_turn(self) -> None:
        """Answer what has become answerable, while the connection has room for it."""

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, if at all."""

    def handle_deadline(self, now: float) -> None:
        """Answer what has waited long enough, while the connection has room for it."""

    def pause(self) -> None:
        """The peer does not read: let others have what waits for it."""

    def resume(self) -> None:
        """The peer reads again."""

    def lost(self) -> None:
        """The peer is gone."""


class NativeConnection:
    """The connection of one client, as pure state (see `protocols.transport.Connection`)."""

    def __init__(
        self,
        wake: Callable[[], None],
        now: float,
        idle_timeout_s: float = 120.0,
        frame_size_max: int = FRAME_SIZE_MAX,
    ) -> None:
        self.closed = False
        self._wake = wake
        self._frames = FrameReader(frame_size_max)
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._has_requests = False  # Whole ones may wait in `_frames`.
        self._is_paused = False
        # What the peer is to be told when it reads again, each once.
        self._notices: dict[tuple[object, ...], RemotingCommand] = {}
        self._session: Session | None = None
        self._idle_timeout_s = idle_timeout_s
        self._idle_since = now
        self._opaque = 0

    def attach(self, session: Session) -> None:
        """Give the requests of this connection to `session`."""
        self._session = session

    def wake(self) -> None:
        """Have `finish_turn` called when the turn ends."""
        self._wake()

    @property
    def has_room(self) -> bool:
        """May more be answered now?"""
        return not self._is_paused and self._outgoing_size < _OUTGOING_SIZE_MAX

    def answer(self, request: RemotingCommand, response: RemotingCommand) -> None:
        """Queue the answer to a request, unless it wants none."""
        if self.closed or request.is_one_way:
            return
        response.opaque = request.opaque
        response.form = request.form
        response.flag = CommandFlag.RESPONSE
        self._queue(response)

    def notify(self, command: RemotingCommand) -> None:
        """Queue a one-way request to the client, with an id of our own numbering.

        While the client does not read, two that say the same become one.
        """
        if self.closed:
            return
        if self._is_paused:
            self._notices[(command.code, *command.ext_fields.items())] = command
            return
        self._opaque = (self._opaque + 1) & 0x7FFFFFFF
        command.opaque = self._opaque
        self._queue(command)

    def close(self) -> None:
        """Hang up after what is queued."""
        if not self.closed:
            self.closed = True
            self._wake()

    def receive_data(self, data: bytes, now: float) -> None:
        """Handle each request that is now whole, while their answers have room."""
        self._idle_since = now
        self._handle_requests(data)

    def data_to_send(self) -> bytes:
        """Everything queued for the client."""
        if self._session is not None and not (self._is_paused or self.closed):
            if self._has_requests:
                self._handle_requests(b"")
            self._session.finish_turn()
            if not self.has_room:
                self._wake()  # There may be more to do once this is written.
        outgoing, self._outgoing = self._outgoing, []
        self._outgoing_size = 0
        return b"".join(outgoing)

    def next_deadline(self) -> float | None:
        """When the client will have been silent too long, or the session's own deadline."""
        idle_end = self._idle_since + self._idle_timeout_s
        if self._session is None or self._is_paused:
            return idle_end
        own = self._session.next_deadline()
        return idle_end if own is None else min(idle_end, own)

    def handle_deadline(self, now: float) -> None:
        """Hang up on a client that is silent; answer long polls."""
        if now >= self._idle_since + self._idle_timeout_s:
            self.closed = True
        elif self._session is not None and not self._is_paused:
            self._session.handle_deadline(now)

    def pause_delivery(self) -> None:
        """The client does not read: do nothing for it."""
        self._is_paused = True
        if self._session is not None:
            self._session.pause()

    def resume_delivery(self) -> None:
        """The client reads again: go on where we stopped."""
        self._is_paused = False
        notices, self._notices = self._notices, {}
        for command in notices.values():
            self.notify(command)
        if self._session is not None:
            self._session.resume()

    def connection_lost(self) -> None:
        """The socket is gone."""
        self.closed = True
        # It knows us; a circle would keep what has come until the garbage collector does.
        session, self._session = self._session, None
        if session is not None:
            session.lost()

    def _handle_requests(self, data: bytes) -> None:
        """Handle what has come, unless its answers would have no room; the rest waits."""
        session = self._session
        assert session is not None
        frames = self._frames
        frames.receive(data)
        try:
            while self.has_room and (command := frames.next_command()) is not None:
                # An answer to a request of ours: all of those are one-way so far.
                if not command.is_response:
                    session.handle(command)
        except ProtocolError:
            self.closed = True
        self._has_requests = not self.has_room
        session.finish_read()

    def _queue(self, command: RemotingCommand) -> None:
        frame = encode_frame(command)
        self._outgoing.append(frame)
        self._outgoing_size += len(frame)
        self._wake()
