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

from collections.abc import Iterator
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

    def feed(self, data: bytes) -> Iterator[RemotingCommand]:
        """Take in `data` and yield each command that is now whole."""
        self.receive(data)
        while (command := self.next_command()) is not None:
            yield command

    def receive(self, data: bytes) -> None:
        """Take in `data`, for `next_command`."""
        self._buffer += data

    def next_command(self) -> RemotingCommand | None:
        """The next command, if it is whole."""
        buffer = self._buffer
        if len(buffer) < 8:
            return None
        length, start = _START.unpack_from(buffer)
        header_size = start & 0xFFFFFF
        if not 4 <= length <= self._frame_size_max:
            raise ProtocolError(f"frame of {length} bytes")
        if header_size > length - 4:
            raise ProtocolError("the header is longer than its frame")
        end = 4 + length
        if len(buffer) < end:
            return None
        body_at = 8 + header_size
        header = bytes(buffer[8:body_at])
        body = bytes(buffer[body_at:end])
        del buffer[:end]
        return decode_header(start >> 24, header, body)
