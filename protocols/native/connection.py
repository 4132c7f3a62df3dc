"""One remoting connection: frames in and out, who is answered, and when the peer is gone.

Requests go to the session, one after the other; their answers may come later and in any order, as
each repeats the request's opaque id and header form. A frame that cannot be read closes this
connection and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import CommandFlag
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import FRAME_SIZE_MAX, FrameReader, encode_frame


class Session(Protocol):
    """What one peer's requests mean."""

    def handle(self, request: RemotingCommand, now: float) -> None:
        """Answer a request now, or later."""

    def finish_read(self) -> None:
        """Do what was put off until all requests of a read are known."""

    def finish_turn(self) -> None:
        """Answer what has become answerable in this turn."""

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called, if at all."""

    def handle_deadline(self, now: float) -> None:
        """Answer what has waited long enough."""

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

    def answer(self, request: RemotingCommand, response: RemotingCommand) -> None:
        """Queue the answer to a request, unless it wants none."""
        if self.closed or request.is_one_way:
            return
        response.opaque = request.opaque
        response.form = request.form
        response.flag = CommandFlag.RESPONSE
        self._queue(response)

    def request(self, command: RemotingCommand) -> None:
        """Queue a request to the client, with an id of our own numbering."""
        if self.closed:
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
        """Handle each request that is now whole."""
        assert self._session is not None
        self._idle_since = now
        try:
            for command in self._frames.feed(data):
                # An answer to a request of ours: all of those are one-way so far.
                if not command.is_response:
                    self._session.handle(command, now)
        except ProtocolError:
            self.closed = True
        self._session.finish_read()

    def data_to_send(self) -> bytes:
        """Everything queued for the client."""
        if self._session is not None:
            self._session.finish_turn()
        outgoing, self._outgoing = self._outgoing, []
        return b"".join(outgoing)

    def next_deadline(self) -> float | None:
        """When the client will have been silent too long, or the session's own deadline."""
        idle_end = self._idle_since + self._idle_timeout_s
        own = None if self._session is None else self._session.next_deadline()
        return idle_end if own is None else min(idle_end, own)

    def handle_deadline(self, now: float) -> None:
        """Hang up on a client that is silent; answer long polls."""
        if now >= self._idle_since + self._idle_timeout_s:
            self.closed = True
        elif self._session is not None:
            self._session.handle_deadline(now)

    def pause_delivery(self) -> None:
        """Nothing is sent but answers, so there is nothing to hold back."""

    def resume_delivery(self) -> None:
        """See `pause_delivery`."""

    def connection_lost(self) -> None:
        """The socket is gone."""
        self.closed = True
        if self._session is not None:
            self._session.lost()

    def _queue(self, command: RemotingCommand) -> None:
        self._outgoing.append(encode_frame(command))
        self._wake()
