"""The RosettaMQ client: send and receive messages over RocketMQ's remoting protocol.

It stands alone on the standard library, and works with RosettaMQ and with Apache RocketMQ.
"""

from rosettamq.errors import (
    BrokerConnectionError,
    ClosedError,
    MessageError,
    ProtocolError,
    RequestTimeoutError,
    ResponseError,
    RosettaMQError,
    SubscriptionError,
    TopicNotFoundError,
)
from rosettamq.message import Message, MessageQueue, ReceivedMessage, SendResult, SendStatus
from rosettamq.producer import Producer
from rosettamq.push_consumer import PushConsumer
from rosettamq.simple_consumer import SimpleConsumer
from rosettamq.subscriptions import Sql

__all__ = [
    "BrokerConnectionError",
    "ClosedError",
    "Message",
    "MessageError",
    "MessageQueue",
    "Producer",
    "ProtocolError",
    "PushConsumer",
    "ReceivedMessage",
    "RequestTimeoutError",
    "ResponseError",
    "RosettaMQError",
    "SendResult",
    "SendStatus",
    "SimpleConsumer",
    "Sql",
    "SubscriptionError",
    "TopicNotFoundError",
]
