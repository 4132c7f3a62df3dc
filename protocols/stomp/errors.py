"""What goes wrong on a STOMP connection, and the one table from the gateway's errors to ERROR."""

from __future__ import annotations

from core.errors import CoreError, MessageTooLargeError
from gateway.errors import GatewayError


class StompProtocolError(Exception):
    """The peer does not speak STOMP: the connection ends without a word, as RabbitMQ ends it."""


class RequestRefusedError(Exception):
    """A frame is answered with ERROR, in RabbitMQ's words; `closing` ends the connection too."""

    def __init__(self, message: str, detail: str, *, closing: bool = False) -> None:
        super().__init__(f"{message}: {detail}")
        self.message = message
        self.detail = detail
        self.closing = closing


def processing_error() -> RequestRefusedError:
    """A value that cannot be understood; RabbitMQ does not say which."""
    return RequestRefusedError("Processing error", "Processing error")


def refusal(error: CoreError, *, closing: bool = True) -> RequestRefusedError:
    """What kills an AMQP channel ends a STOMP connection: constant and reply-text are AMQP's."""
    if isinstance(error, GatewayError):
        constant = error.constant
    elif isinstance(error, MessageTooLargeError):
        constant = "PRECONDITION_FAILED"
    else:
        constant = "INTERNAL_ERROR"
    return RequestRefusedError(constant.lower(), f"{constant} - {error}", closing=closing)
