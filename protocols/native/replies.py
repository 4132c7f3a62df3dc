"""How requests are answered, and the one table from errors to RocketMQ's response codes."""

from __future__ import annotations

from core.errors import CoreError, MessageTooLargeError, OffsetOutOfRangeError
from gateway.errors import (
    AccessRefusedError,
    LoginRefusedError,
    NotAllowedError,
    NotFoundError,
    PreconditionFailedError,
    ResourceLockedError,
)
from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import CommandFlag, RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import Header


class RequestRefusedError(Exception):
    """A request that is refused with a response code and a sentence for the user."""

    def __init__(self, code: ResponseCode, remark: str) -> None:
        super().__init__(remark)
        self.code = code
        self.remark = remark


_CODES: tuple[tuple[type[Exception], ResponseCode], ...] = (
    (ProtocolError, ResponseCode.INVALID_PARAMETER),
    (NotFoundError, ResponseCode.TOPIC_NOT_EXIST),
    (AccessRefusedError, ResponseCode.NO_PERMISSION),
    (LoginRefusedError, ResponseCode.NO_PERMISSION),
    (ResourceLockedError, ResponseCode.NO_PERMISSION),
    (NotAllowedError, ResponseCode.NO_PERMISSION),
    (PreconditionFailedError, ResponseCode.INVALID_PARAMETER),
    (OffsetOutOfRangeError, ResponseCode.NO_MESSAGE),
    (MessageTooLargeError, ResponseCode.MESSAGE_ILLEGAL),
)

RefusalError = (CoreError, ProtocolError, RequestRefusedError)


def success(header: Header | None = None, body: bytes = b"") -> RemotingCommand:
    """Answer that all went well."""
    ext = {} if header is None else header.to_ext()
    return RemotingCommand(ResponseCode.SUCCESS, ext, body)


def refusal(error: CoreError | ProtocolError | RequestRefusedError) -> RemotingCommand:
    """Answer with what went wrong."""
    if isinstance(error, RequestRefusedError):
        return RemotingCommand(error.code, remark=error.remark)
    for error_class, code in _CODES:
        if isinstance(error, error_class):
            return RemotingCommand(code, remark=str(error))
    return RemotingCommand(ResponseCode.SYSTEM_ERROR, remark=str(error))


def disk_full() -> RemotingCommand:
    """Answer that there is no room; RocketMQ's producers try another broker, and then again."""
    return RemotingCommand(
        ResponseCode.SERVICE_NOT_AVAILABLE, remark="service not available now: the disk is full"
    )


def not_supported(code: int) -> RemotingCommand:
    """Answer a request code that nobody knows, in Java's words."""
    return RemotingCommand(
        ResponseCode.REQUEST_CODE_NOT_SUPPORTED, remark=f" request type {code} not supported"
    )


def topic_not_found(topic: str) -> RequestRefusedError:
    """There is neither an exchange nor a queue of this name."""
    return RequestRefusedError(
        ResponseCode.TOPIC_NOT_EXIST, f"topic[{topic}] not exist, apply first please!"
    )


def notification(code: RequestCode, header: Header) -> RemotingCommand:
    """Make a request of our own that wants no answer."""
    return RemotingCommand(code, header.to_ext(), flag=CommandFlag.ONE_WAY)
