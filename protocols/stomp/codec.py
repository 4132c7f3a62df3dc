r"""Octets <-> frames; one grammar for all versions, as RabbitMQ has it (no I/O, no meaning).

    frame  = command EOL { name ":" value EOL } EOL body NUL
    EOL    = [ CR ] LF        between frames EOL and NUL mean nothing (they are heart-beats)

`\n \c \r \\` are escapes in names and values of every frame of every version. Only a SEND's
`content-length` counts; every other body ends at the first NUL. Input is bounded: what is kept
of an unfinished frame never exceeds `max_frame_size`, and is looked at again only when what it
waits for has come, so that slow input costs no more than fast input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocols.stomp.errors import StompProtocolError

_GAP = re.compile(rb"(?:\r?\n|\0)*")
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_UNESCAPE = {"n": "\n", "c": ":", "r": "\r", "\\": "\\"}
_ESCAPE = str.maketrans({"\n": "\\n", ":": "\\c", "\r": "\\r", "\\": "\\\\"})
_MUST_ESCAPE = re.compile(r"[\\:\r\n]")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `header_block` is its header lines as they came, for those who keep them."""

    command: str
    headers: dict[str, str]
    body: bytes = b""
    header_block: bytes = b""


def encode_frame(command: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Write one frame, `content-length` last and only for a body; LF follows the NUL."""
    lines = [command, "\n"]
    lines += [encode_header(name, value) for name, value in headers if name != "content-length"]
    if body:
        lines.append(f"content-length:{len(body)}\n")
    lines.append("\n")
    return to_octets("".join(lines)) + body + b"\0\n"


def split_frames(octets: bytes) -> Iterator[bytes]:
    """Cut what we have written into its frames, each with its LF; a heart-beat is one, too.

    Only for our own frames: LF line ends, and `content-length` last where there is a body.
    """
    position = 0
    while position < len(octets):
        if octets.startswith(b"\n", position):
            end = position + 1
        else:
            head_end = octets.index(b"\n\n", position)
            line = octets.rfind(b"\n", position, head_end) + 1
            length = octets[line:head_end].removeprefix(b"content-length:")
            body_size = int(length) if len(length) < head_end - line else 0
            end = head_end + 2 + body_size + 2
            assert octets.startswith(b"\0\n", end - 2)
        yield octets[position:end]
        position = end


def encode_header(name: str, value: str) -> str:
    """One header line, escaped."""
    return f"{escape(name)}:{escape(value)}\n"


def escape(text: str) -> str:
    """Escape a header's name or value."""
    return text.translate(_ESCAPE) if _MUST_ESCAPE.search(text) else text


def to_octets(text: str) -> bytes:
    """UTF-8; octets that were none come out as they came in."""
    return text.encode("utf-8", "surrogateescape")


def to_text(octets: bytes) -> str:
    """UTF-8; octets that are none survive as lone surrogates."""
    return octets.decode("utf-8", "surrogateescape")


def parse_header_block(block: bytes, max_count: int = 1_000_000) -> dict[str, str]:
    """Read header lines; of a repeated name the first counts.

    Raises `StompProtocolError` for a line without a colon, an unknown escape, a CR that ends no
    line, or more than `max_count` lines.
    """
    headers: dict[str, str] = {}
    text = to_text(block)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            raise StompProtocolError("a CR is not followed by LF")
    lines = text.split("\n")
    if lines.pop():
        raise StompProtocolError("the last header line has no end")
    if len(lines) > max_count:
        raise StompProtocolError(f"more than {max_count} headers")
    escaped = "\\" in text
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise StompProtocolError("a header line has no colon")
        if escaped:
            name, value = _ESCAPED.sub(_unescape, name), _ESCAPED.sub(_unescape, value)
        if name not in headers:
            headers[name] = value
    return headers


def _unescape(match: re.Match[str]) -> str:
    try:
        return _UNESCAPE[match[1]]
    except KeyError:
        raise StompProtocolError(f"undefined escape {match[0]!r}") from None


def find_header_end(octets: bytes, start: int) -> tuple[int, int]:
    """Where the header lines that begin at `start` end, and where the body begins.

    The first is the offset after the last header line's EOL; (-1, -1) while there is no empty line.
    """
    end = octets.find(b"\n\n", start)
    # Either line end may close either kind of line; look no further than what is a header anyway.
    with_cr = octets.find(b"\n\r\n", start, len(octets) if end < 0 else end + 2)
    if with_cr >= 0:
        return with_cr + 1, with_cr + 3
    return (end + 1, end + 2) if end >= 0 else (-1, -1)


class FrameReader:
    """Cuts a stream into frames. `buffer` and `position` are open to the hot loops.

    Call `feed`, then `next_frame` until it returns None. In between, whoever understands the
    octets at `position` may consume them and move it on, but only to the end of a whole frame.
    """

    def __init__(self, max_frame_size: int, max_header_count: int = 1_000) -> None:
        self.max_frame_size = max_frame_size
        self.max_header_count = max_header_count
        self.buffer = b""
        self.position = 0
        self._kept: list[bytes] = []  # The beginning of an unfinished frame.
        self._kept_size = 0
        self._awaited_size = 0  # No frame is whole before so much is kept ...
        self._awaited: tuple[bytes, ...] = ()  # ... or before one of these arrives.
        self._tail = b""  # The last octets kept: what is awaited may come in two pieces.

    def feed(self, data: bytes) -> None:
        """Take in what arrived; raises `StompProtocolError` if a frame grows too large."""
        if not self._kept:
            self.buffer, self.position = data, 0
            return
        self._kept.append(data)
        self._kept_size += len(data)
        if not self._has_come(data):
            self._check_size(self._kept_size)
            return
        self.buffer, self.position = b"".join(self._kept), 0
        self._kept = []

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None when more octets are needed."""
        buffer = self.buffer
        gap = _GAP.match(buffer, self.position)
        assert gap is not None
        start = gap.end()
        if start == len(buffer):
            self.buffer, self.position = b"", 0
            return None
        end, body_start = find_header_end(buffer, start)
        if buffer.find(b"\0", start, len(buffer) if end < 0 else end) >= 0:
            raise StompProtocolError("NUL before the end of the headers")
        if end < 0:
            self._keep(start, (b"\n\n", b"\n\r\n", b"\0"), 0)
            return None
        self._check_size(body_start - start)
        command, headers, block = self._parse_head(buffer[start:end])
        if command == "SEND" and "content-length" in headers:
            body_end = body_start + self._body_size(headers["content-length"])
            self._check_size(body_end - start)
            if body_end >= len(buffer):
                self._keep(start, (), body_end + 1 - start)
                return None
            if buffer[body_end] != 0:
                raise StompProtocolError("no NUL after content-length octets")
        else:
            body_end = buffer.find(b"\0", body_start)
            if body_end < 0:
                self._keep(start, (b"\0",), 0)
                return None
            self._check_size(body_end - start)
        self.position = body_end + 1
        return Frame(command, headers, buffer[body_start:body_end], block)

    def _has_come(self, data: bytes) -> bool:
        """Whether `data` brings what the unfinished frame waits for."""
        if not self._awaited:
            return self._kept_size >= self._awaited_size
        recent = self._tail + data
        self._tail = recent[-2:]
        return any(octets in recent for octets in self._awaited)

    def _keep(self, start: int, awaited: tuple[bytes, ...], awaited_size: int) -> None:
        rest = self.buffer[start:]
        self._check_size(len(rest))
        self._kept, self._kept_size = [rest], len(rest)
        self._awaited, self._awaited_size, self._tail = awaited, awaited_size, rest[-2:]
        self.buffer, self.position = b"", 0

    def _parse_head(self, head: bytes) -> tuple[str, dict[str, str], bytes]:
        line, _, block = head.partition(b"\n")
        command = to_text(line.removesuffix(b"\r"))
        if "\r" in command:
            raise StompProtocolError("a CR is not followed by LF")
        return command, parse_header_block(block, self.max_header_count), block

    def _body_size(self, text: str) -> int:
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise StompProtocolError("content-length is not a number")
        return int(digits)

    def _check_size(self, size: int) -> None:
        if size > self.max_frame_size:
            raise StompProtocolError(f"a frame is larger than {self.max_frame_size} octets")
