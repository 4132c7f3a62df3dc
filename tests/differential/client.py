"""A blocking AMQP client that says exactly what it is told, and keeps all that it hears."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.differential import wire

FRAME_MAX = 131072
_TIMEOUT_S = 20.0
CAPABILITIES = ("consumer_cancel_notify", "basic.nack", "authentication_failure_close")


class Event(NamedTuple):
    """What a server said: a method with its fields, and its content if it carries one."""

    channel: int
    name: str
    fields: dict[str, Any]
    properties: bytes = b""
    body: bytes = b""


class RefusedError(Exception):
    """A server does not let this user in, or not there; says the event why."""

    def __init__(self, event: Event) -> None:
        super().__init__(str(event))
        self.event = event


class Connection:
    """One connection. It answers a server's close by itself, as every client must.

    It is open, unless there is no user: then the caller shakes hands. Raises `RefusedError`.
    """

    def __init__(
        self,
        port: int,
        user: str | None = "guest",
        capabilities: Sequence[str] = CAPABILITIES,
        virtual_host: str = "/",
    ) -> None:
        self.alive = True
        self.open_channels: set[int] = set()
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(_TIMEOUT_S)
        self._buffer = bytearray()
        self._events: deque[Event] = deque()
        self._content: dict[int, tuple[str, dict[str, Any], bytes, int, bytearray]] = {}
        if user is not None:
            self._shake_hands(user, capabilities, virtual_host)

    @property
    def unread(self) -> bytes:
        """What has come and is no frame, or not all of one."""
        return bytes(self._buffer)

    def _shake_hands(self, user: str, names: Sequence[str], virtual_host: str) -> None:
        self.send(wire.PROTOCOL_HEADER)
        self._expect("connection.start")
        capabilities = tuple((name, ("t", True)) for name in names)
        self.send(
            wire.method(
                0,
                "connection.start-ok",
                properties=(("capabilities", ("F", capabilities)),),
                mechanism="PLAIN",
                response=f"\0{user}\0{user}".encode(),
                locale="en_US",
            )
        )
        self._expect("connection.tune")
        tuning = {"channel_max": 2047, "frame_max": FRAME_MAX, "heartbeat": 0}
        self.send(
            wire.method(0, "connection.tune-ok", **tuning)
            + wire.method(0, "connection.open", virtual_host=virtual_host)
        )
        self._expect("connection.open-ok")

    def _expect(self, name: str) -> None:
        event = self.receive()
        if event.name != name:
            raise RefusedError(event)

    def send(self, data: bytes) -> None:
        """Write it all; a server that has hung up meanwhile is noticed when we read."""
        try:
            self._socket.sendall(data)
        except OSError:
            pass

    def receive(self) -> Event:
        """The next thing that the server says; `closed` or `silent` if it says no more."""
        while not self._events:
            try:
                data = self._socket.recv(1 << 18)
            except TimeoutError:
                return self._end("silent")
            except OSError:
                data = b""
            if not data:
                return self._end("closed")
            self._buffer += data
            self._take_frames()
        event = self._events.popleft()
        self._follow(event)
        return event

    def close(self) -> None:
        """Hang up, without a word."""
        self.alive = False
        self.open_channels.clear()
        self._socket.close()

    def _end(self, name: str) -> Event:
        self.close()
        return Event(0, name, {})

    def _follow(self, event: Event) -> None:
        """Answer a close, and know which channels are open."""
        if event.name == "channel.close":
            self.open_channels.discard(event.channel)
            self.send(wire.method(event.channel, "channel.close-ok"))
        elif event.name == "channel.close-ok":
            self.open_channels.discard(event.channel)
        elif event.name == "channel.open-ok":
            self.open_channels.add(event.channel)
        elif event.name == "connection.close":
            self.send(wire.method(0, "connection.close-ok"))
            self.close()
        elif event.name == "connection.close-ok":
            self.close()

    def _take_frames(self) -> None:
        position = 0
        buffer = self._buffer
        while len(buffer) - position >= 8:
            type, channel, size = struct.unpack_from(">BHI", buffer, position)
            end = position + 7 + size
            if len(buffer) <= end:
                break
            assert buffer[end] == 0xCE, "a frame of the server has a wrong end"
            assert size <= FRAME_MAX - 8, "a frame of the server is too large"
            self._take_frame(type, channel, bytes(buffer[position + 7 : end]))
            position = end + 1
        del buffer[:position]

    def _take_frame(self, type: int, channel: int, payload: bytes) -> None:
        if type == wire.METHOD:
            assert channel not in self._content, "a method in the middle of a content"
            name, fields = wire.decode_method(payload)
            if name in wire.CONTENT_METHODS:
                self._content[channel] = (name, fields, b"", -1, bytearray())
            else:
                self._events.append(Event(channel, name, fields))
        elif type == wire.HEADER:
            name, fields, _, size, body = self._content.pop(channel)
            assert size == -1, "two content headers"
            class_id, weight, size = struct.unpack_from(">HHQ", payload)
            assert (class_id, weight) == (60, 0)
            self._content[channel] = (name, fields, payload[12:], size, body)
            self._finish(channel)
        elif type == wire.BODY:
            assert payload, "an empty body frame of the server"
            self._content[channel][4].extend(payload)
            self._finish(channel)
        else:
            assert type == wire.HEARTBEAT

    def _finish(self, channel: int) -> None:
        name, fields, properties, size, body = self._content[channel]
        assert len(body) <= size, "more body than announced"
        if len(body) == size:
            del self._content[channel]
            self._events.append(Event(channel, name, fields, properties, bytes(body)))
