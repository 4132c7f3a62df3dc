"""Reply codes, and whether they close a channel or the connection."""

from __future__ import annotations

from gateway.errors import GatewayError

REPLY_SUCCESS = 200
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
