"""What can go wrong for a user of the SDK, under one base class."""

from __future__ import annotations


class RosettaMQError(Exception):
    """The base of every error that the SDK raises."""


class ProtocolError(RosettaMQError):
    """The peer sent something that is not the remoting protocol."""


class ClosedError(RosettaMQError):
    """The producer or consumer was used before it was started or after it was closed."""


class BrokerConnectionError(RosettaMQError):
    """A broker or name server cannot be reached, or the connection to it was lost."""


class RequestTimeoutError(RosettaMQError):
    """No answer came in time; a request that was sent may still have taken effect."""


class ResponseError(RosettaMQError):
    """The broker or name server refused a request; `code` is RocketMQ's response code."""

    def __init__(self, code: int, remark: str) -> None:
        super().__init__(f"response code {code}: {remark or 'no remark'}")
        self.code = code
        self.remark = remark


class TopicNotFoundError(RosettaMQError):
    """No name server knows a route to the topic."""


class MessageError(RosettaMQError):
    """The message cannot be sent as it is: too large, or a property that cannot be written."""


class SubscriptionError(RosettaMQError):
    """The subscription expression is not one."""
