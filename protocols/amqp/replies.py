"""Reply codes, whether they close a channel or the connection, and the frames and texts for it."""

from __future__ import annotations

from gateway.errors import GatewayError
from protocols.amqp.codec import METHOD_ID, encode_method
from protocols.amqp.fields import encode_short

CODES = {
    "CONTENT_TOO_LARGE": 311,
    "NO_ROUTE": 312,
    "CONNECTION_FORCED": 320,
    "ACCESS_REFUSED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_LOCKED": 405,
    "PRECONDITION_FAILED": 406,
    "FRAME_ERROR": 501,
    "SYNTAX_ERROR": 502,
    "COMMAND_INVALID": 503,
    "CHANNEL_ERROR": 504,
    "UNEXPECTED_FRAME": 505,
    "RESOURCE_ERROR": 506,
    "NOT_ALLOWED": 530,
    "NOT_IMPLEMENTED": 540,
    "INTERNAL_ERROR": 541,
}
_SOFT = frozenset((311, 312, 313, 403, 404, 405, 406))


class AmqpError(Exception):
    """The peer asked for what cannot be: `constant` is the reply constant."""

    def __init__(self, constant: str, explanation: str, method: tuple[int, int] = (0, 0)) -> None:
        super().__init__(f"{constant} - {explanation}")
        self.code = CODES[constant]
        self.method = method

    @property
    def is_soft(self) -> bool:
        """Does it close only the channel?"""
        return self.code in _SOFT

    @property
    def text(self) -> str:
        """The reply text."""
        return str(self)


def from_gateway(error: GatewayError, method: tuple[int, int]) -> AmqpError:
    """What the gateway refused, as AMQP says it."""
    return AmqpError(error.constant, str(error), method)


def encode_close(
    number: int, class_id: int, code: int, text: str, method: tuple[int, int]
) -> bytes:
    """channel.close or connection.close, by its class."""
    method_id = 50 if class_id == 10 else 40
    arguments = code.to_bytes(2, "big") + encode_short(text) + METHOD_ID.pack(*method)
    return encode_method(number, class_id, method_id, arguments)


def unexpected_frame(type: int, payload: bytes) -> AmqpError:
    """A frame that may not come now."""
    return AmqpError("UNEXPECTED_FRAME", f"type {type}, {show_octets(payload)}")


def show_octets(payload: bytes) -> str:
    """The beginning of a payload, as RabbitMQ's texts show it."""
    shown = "all" if len(payload) <= 16 else "first 16"
    first = payload[:16]
    if first and all(32 <= octet < 127 and octet not in b'"\\' for octet in first):
        return f'{shown} octets = <<"{first.decode()}">>'  # As Erlang shows what looks like text.
    return f"{shown} octets = {show_binary(first)}"


def show_binary(octets: bytes) -> str:
    """Octets as an Erlang binary."""
    return f"<<{','.join(map(str, octets[:256]))}>>"
