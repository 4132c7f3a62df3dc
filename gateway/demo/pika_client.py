"""AMQP 0-9-1 as RabbitMQ's users speak it: pika."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from gateway.demo.sample import (
    WAIT_S,
    Address,
    MissingMessagesError,
    Received,
    Sample,
    application_headers,
)

_PERSISTENT = 2


class PikaClient:
    """Publishes through the default exchange, with confirms."""

    name = "pika"

    def __init__(self, address: Address) -> None:
        self._parameters = pika.ConnectionParameters(
            *address, socket_timeout=WAIT_S, blocked_connection_timeout=WAIT_S
        )

    @contextmanager
    def _channel(self, queue: str) -> Iterator[BlockingChannel]:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.queue_declare(queue, durable=True)
            yield channel

    def publish(self, queue: str, sample: Sample) -> None:
        """Send one message; an unroutable or refused one raises pika's own error."""
        with self._channel(queue) as channel:
            channel.confirm_delivery()
            channel.basic_publish("", queue, sample.body, _to_pika(sample), mandatory=True)

    def consume(self, queue: str, count: int, acknowledge: bool = True) -> list[Received]:
        """Take messages with a consumer whose prefetch is their number."""
        received: list[Received] = []
        with self._channel(queue) as channel:
            channel.basic_qos(prefetch_count=count)
            for method, properties, body in channel.consume(queue, inactivity_timeout=WAIT_S):
                if method is None:
                    raise MissingMessagesError(self.name, queue, count, len(received))
                received.append(Received(_from_pika(properties, body), method.redelivered))
                if acknowledge:
                    channel.basic_ack(method.delivery_tag)
                if len(received) == count:
                    break
            if acknowledge:
                channel.cancel()
        return received


def _to_pika(sample: Sample) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type=sample.content_type,
        correlation_id=sample.correlation_id,
        reply_to=sample.reply_to,
        priority=sample.priority,
        delivery_mode=_PERSISTENT if sample.persistent else None,
        headers=dict(sample.headers) or None,
    )


def _from_pika(properties: pika.BasicProperties, body: bytes) -> Sample:
    return Sample(
        body,
        content_type=properties.content_type,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        priority=properties.priority,
        persistent=properties.delivery_mode == _PERSISTENT,
        headers=application_headers(properties.headers or {}),
    )
