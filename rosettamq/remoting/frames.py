"""Frames <-> commands.

| offset | size | field |
|---|---|---|
| 0 | 4 | length: the bytes after this field |
| 4 | 1 | header form: 0 JSON, 1 binary |
| 5 | 3 | header length |
| 8 | header length | header |
| 8 + header length | rest | body |
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct

from rosettamq.errors import ProtocolError
from rosettamq.remoting.command import RemotingCommand, decode_header, encode_header

# Java's com.rocketmq.remoting.frameMaxLength.
FRAME_SIZE_MAX = 16 * 1024 * 1024

_START = Struct(">iI")


def encode_frame(command: RemotingCommand) -> bytes:
    """Write one command as a frame."""
    header = encode_header(command)
    length = 4 + len(header) + len(command.body)
    return b"".join((_START.pack(length, command.form << 24 | len(header)), header, command.body))


class FrameReader:
    """Cut a stream of bytes into commands, however it was chunked.

    After a `ProtocolError` the stream is out of step: close the connection.
    """

    def __init__(self, frame_size_max: int = FRAME_SIZE_MAX) -> None:
        self._frame_size_max = frame_size_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Generator[RemotingCommand, None, None]:
        """Take in `data`, and return an iterator over the commands that are now whole.

        What is not asked of it comes with the next one; close it before that.
        """
        self._buffer += data
        return self._commands()

    def _commands(self) -> Generator[RemotingCommand, None, None]:
        buffer = self._buffer
        at = 0
        try:
            while len(buffer) - at >= 8:
                length, start = _START.unpack_from(buffer, at)
                header_size = start & 0xFFFFFF
                if not 4 <= length <= self._frame_size_max:
                    raise ProtocolError(f"frame of {length} bytes")
                if header_size > length - 4:
                    raise ProtocolError("the header is longer than its frame")
                end = at + 4 + length
                if len(buffer) < end:
                    break
                body_at = at + 8 + header_size
                header = bytes(buffer[at + 8 : body_at])
                body = bytes(buffer[body_at:end])
                at = end
                yield decode_header(start >> 24, header, body)
        finally:
            del buffer[:at]
