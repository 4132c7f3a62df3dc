"""A message that arrives frame by frame, and is handed on whole (AMQP 0-9-1, 4.2.6)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from protocols.amqp.codec import BASIC_CLASS, BODY, HEADER, PublishFields
from protocols.amqp.replies import AmqpError

PUBLISH_ID = (60, 40)
_CONTENT = Struct(">HHQ")  # Class, weight, body size.
# RabbitMQ says so of a weight that is not 0, too.
_NO_HEADER = "expected content header for class 60, got non content header frame instead"


class Content(NamedTuple):
    """What has come of it; `missing_size` octets of the body are still to come.

    A content that grows is another one, so the last frame may come again if it could not be stored;
    only the parts before that are shared.
    """

    fields: PublishFields
    header: bytes | None
    missing_size: int
    parts: list[bytes]

    @property
    def is_whole(self) -> bool:
        """Has all of it come?"""
        return self.header is not None and not self.missing_size

    @property
    def body(self) -> bytes:
        """The body, once it is whole."""
        return b"".join(self.parts)

    def receive(self, type: int, payload: bytes, size_max: int) -> Content:
        """The content with one frame more. Raises `AmqpError`."""
        if self.header is None:
            return self._receive_header(type, payload, size_max)
        if type != BODY:
            raise _unexpected("expected content body, got non content body frame instead")
        missing_size = self.missing_size - len(payload)
        if missing_size < 0:
            raise AmqpError("FRAME_ERROR", "the body is longer than its header says", PUBLISH_ID)
        if not missing_size:
            return self._replace(missing_size=0, parts=[*self.parts, payload])
        if payload:
            self.parts.append(payload)
        return self._replace(missing_size=missing_size)

    def _receive_header(self, type: int, payload: bytes, size_max: int) -> Content:
        if type != HEADER:
            raise _unexpected(_NO_HEADER)
        if len(payload) < _CONTENT.size + 2:
            raise AmqpError("FRAME_ERROR", "cannot decode content header", PUBLISH_ID)
        class_id, weight, body_size = _CONTENT.unpack_from(payload)
        if weight:
            raise _unexpected(_NO_HEADER)
        if class_id != BASIC_CLASS:
            raise _unexpected(
                f"expected content header for class 60, got one for class {class_id} instead"
            )
        if body_size > size_max:
            # RabbitMQ would take in all of it first; the answer is the same.
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"message size {body_size} is larger than configured max size {size_max}",
                PUBLISH_ID,
            )
        return self._replace(header=payload[_CONTENT.size :], missing_size=body_size)


def _unexpected(explanation: str) -> AmqpError:
    return AmqpError("UNEXPECTED_FRAME", explanation, PUBLISH_ID)
