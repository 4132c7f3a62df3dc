"""What comes from a peer, as whole frames: AMQP 0-9-1, 4.2.3.

One read is taken apart where it lies, from position to position; only what is not whole at its end
is kept until the rest has come.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.amqp.codec import END_OCTET, FRAME_HEAD, FRAME_OVERHEAD, PAYLOAD_SIZES_MIN
from protocols.amqp.replies import AmqpError, show_octets


class Frame(NamedTuple):
    """One whole frame; `octets` is all of it, head and end too."""

    type: int
    channel: int
    payload: bytes
    octets: bytes


class Input:
    """The beginning of something that is not whole yet."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._missing_size = 0  # So much has to come before another look is worth it.

    @property
    def size(self) -> int:
        """How much is kept."""
        return sum(map(len, self.parts))

    def keep(self, data: bytes, missing_size: int) -> None:
        """Keep `data`, untouched until at least `missing_size` more has come."""
        self.parts.append(data)
        self._missing_size = missing_size

    def gather(self, data: bytes) -> bytes:
        """All that has come since something began, once it is whole; nothing before."""
        self.parts.append(data)
        self._missing_size = max(0, self._missing_size - len(data))
        if self._missing_size:
            return b""
        data = b"".join(self.parts)
        self.parts.clear()
        return data


def read_frame(data: bytes, position: int, frame_max: int) -> Frame | None:
    """The frame that begins at `position`; None if it is not whole.

    Raises `AmqpError` if it cannot be one, as RabbitMQ does: a `frame_max` that counts the head is
    compared with the payload alone.
    """
    if len(data) - position < FRAME_HEAD.size:
        return None
    type, channel, size = FRAME_HEAD.unpack_from(data, position)
    start = position + FRAME_HEAD.size
    end = start + size
    if size > frame_max:
        limit = frame_max - FRAME_OVERHEAD
        raise _no_frame(type, f"all octets = <<>>: {{frame_too_large,{size},{limit}}}")
    if end >= len(data):
        return None
    payload = data[start:end]
    if data[end] != END_OCTET:
        raise _no_frame(type, f"{show_octets(payload)}: {{invalid_frame_end_marker,{data[end]}}}")
    if size < PAYLOAD_SIZES_MIN.get(type, size + 1):
        raise _no_frame(type, f"{show_octets(payload)}: unknown_frame")
    return Frame(type, channel, payload, data[position : end + 1])


def missing(data: bytes, position: int) -> int:
    """How much the frame that begins at `position` lacks to be whole, or its head does."""
    end = position + FRAME_HEAD.size
    if end <= len(data):
        end += FRAME_HEAD.unpack_from(data, position)[2] + 1
    return int(end - len(data))


def _no_frame(type: int, explanation: str) -> AmqpError:
    return AmqpError("FRAME_ERROR", f"type {type}, {explanation}")
