"""A blocking STOMP client that says exactly what it is told, and keeps all that it hears."""

from __future__ import annotations

import socket
from collections import deque
from typing import NamedTuple

_TIMEOUT_S = 20.0
_ESCAPES = {"\\": "\\\\", ":": "\\c", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}

Headers = tuple[tuple[str, str], ...]


class Event(NamedTuple):
    """A frame of the server, or its silence, with its headers in the order of the wire."""

    command: str
    headers: Headers = ()
    body: bytes = b""

    def get(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)


def encode(command: str, headers: Headers, body: bytes = b"", *, escapes: bool = True) -> bytes:
    """One frame; nothing is added to the headers."""
    lines = [command]
    for name, value in headers:
        lines.append(f"{_escape(name)}:{_escape(value)}" if escapes else f"{name}:{value}")
    return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogateescape") + body + b"\0"


class Connection:
    """One socket, until the server closes it."""

    def __init__(self, port: int) -> None:
        self.alive = True
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(_TIMEOUT_S)
        self._buffer = b""
        self._events: deque[Event] = deque()

    def send(self, octets: bytes) -> None:
        """Write it all; a server that has hung up meanwhile is noticed when we read."""
        try:
            self._socket.sendall(octets)
        except OSError:
            pass

    def receive(self) -> Event:
        """The next thing that the server says; `closed` or `silent` if it says no more."""
        while not self._events:
            try:
                octets = self._socket.recv(1 << 18)
            except TimeoutError:
                return self._end("silent")
            except OSError:
                octets = b""
            if not octets:
                return self._end("closed")
            self._buffer += octets
            self._take_frames()
        return self._events.popleft()

    def close(self) -> None:
        """Hang up, without a word."""
        self.alive = False
        self._socket.close()

    def _end(self, command: str) -> Event:
        self.close()
        return Event(command)

    def _take_frames(self) -> None:
        while self._buffer:
            if self._buffer.startswith(b"\n"):
                self._buffer = self._buffer[1:]
                continue
            head, blank, rest = self._buffer.partition(b"\n\n")
            if not blank:
                return
            command, *lines = head.decode("utf-8", "surrogateescape").split("\n")
            pairs = [line.partition(":") for line in lines]
            headers = tuple((_unescape(name), _unescape(value)) for name, _, value in pairs)
            size = int(dict(headers).get("content-length", "0"))
            if len(rest) <= size:
                return
            assert rest[size] == 0, f"a frame of the server has a wrong end: {head!r}"
            self._buffer = rest[size + 1 :]
            self._events.append(Event(command, headers, rest[:size]))


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescape(text: str) -> str:
    parts = text.split("\\\\")
    for escaped, plain in _UNESCAPES.items():
        if escaped != "\\\\":
            parts = [part.replace(escaped, plain) for part in parts]
    return "\\".join(parts)
