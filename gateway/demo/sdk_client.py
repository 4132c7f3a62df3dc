"""RocketMQ remoting through our own SDK, `rosettamq`."""

from __future__ import annotations

import time

import rosettamq
from gateway.demo.sample import (
    WAIT_S,
    Address,
    MissingMessagesError,
    Received,
    Sample,
    sample_from_texts,
    sample_to_texts,
)

_INVISIBLE_S = 30.0
_NAMES = {
    "content_type": "content-type",
    "correlation_id": "CORRELATION_ID",
    "reply_to": "reply-to",
    "priority": "priority",
}
_PERSISTENT = "persistent"  # RocketMQ's messages are, unless this says "false".


class SdkClient:
    """Sends to the topic of the queue's name; receives as the group of the queue's name."""

    name = "rosettamq"

    def __init__(self, name_server: Address) -> None:
        self._name_server = "{}:{}".format(*name_server)

    def publish(self, queue: str, sample: Sample) -> None:
        """Send one message and wait for its SendResult."""
        properties = sample_to_texts(sample, _NAMES)
        if not sample.persistent:
            properties[_PERSISTENT] = "false"
        with rosettamq.Producer("demo", name_server=self._name_server) as producer:
            producer.send(rosettamq.Message(queue, sample.body, properties=properties))

    def consume(self, queue: str, count: int, acknowledge: bool = True) -> list[Received]:
        """Pop messages until there are enough."""
        received: list[Received] = []
        unacknowledged: list[rosettamq.ReceivedMessage] = []
        deadline = time.monotonic() + WAIT_S
        with rosettamq.SimpleConsumer(
            queue, name_server=self._name_server, subscriptions={queue: "*"}
        ) as consumer:
            while len(received) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise MissingMessagesError(self.name, queue, count, len(received))
                for message in consumer.receive(
                    max_messages=count - len(received), invisible_s=_INVISIBLE_S, wait_s=left
                ):
                    received.append(_from_message(message))
                    if acknowledge:
                        consumer.ack(message)
                    else:
                        unacknowledged.append(message)
            for message in unacknowledged:
                consumer.change_invisible(message, 0)  # Given back now, not after 30 s.
        return received


def _from_message(message: rosettamq.ReceivedMessage) -> Received:
    # What is left in capitals is RocketMQ's own: UNIQ_KEY, POP_CK ...
    properties = {
        name: value
        for name, value in message.properties.items()
        if name in _NAMES.values() or name != name.upper()
    }
    persistent = properties.pop(_PERSISTENT, "true") == "true"
    sample = sample_from_texts(message.body, properties, _NAMES, persistent)
    return Received(sample, message.reconsume_times > 0)
