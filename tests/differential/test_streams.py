"""Streams: the same asked of RabbitMQ and of us, one case after the other.

Not drawn, since RabbitMQ counts a stream's messages only now and then. Left out is what 3.10
answers otherwise than 4.2, whose way is ours: nack and reject, filters, and the texts about
prefetch and automatic acknowledgement.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from tests.differential.brokers import Brokers

pytestmark = pytest.mark.differential

STREAM = {"x-queue-type": "stream"}
COUNT = 7
_AT_ONCE = 8
_WAIT_S = 0.6  # For what RabbitMQ delivers; nothing says that no more comes.

Case = Callable[[BlockingChannel], Any]


def wait(channel: BlockingChannel) -> None:
    """Until all has come that comes."""
    end = monotonic() + _WAIT_S
    while (left := end - monotonic()) > 0:
        channel.connection.process_data_events(left)


def declare(name: str = "s", durable: bool = True, **options: Any) -> Case:
    arguments = {**STREAM, **options.pop("arguments", {})}
    return lambda channel: (
        channel.queue_declare(name, durable=durable, arguments=arguments, **options).method.queue
    )


def consume(prefetch: int = 10, global_qos: bool = False, **arguments: Any) -> Case:
    asked = {name.replace("_", "-"): value for name, value in arguments.items()}

    def case(channel: BlockingChannel) -> list[Any]:
        got: list[Any] = []
        channel.basic_qos(prefetch_count=prefetch)
        if global_qos:
            channel.basic_qos(prefetch_count=prefetch, global_qos=True)

        def take(_: Any, method: Any, properties: Any, body: bytes) -> None:
            where = (method.exchange, method.routing_key, method.redelivered)
            got.append((method.delivery_tag, *where, properties.headers, body))

        channel.basic_consume("s", take, arguments=asked)
        wait(channel)
        return got

    return case


def acknowledge(channel: BlockingChannel) -> list[bytes]:
    got: list[bytes] = []

    def take(_: Any, method: Any, __: Any, body: bytes) -> None:
        got.append(body)
        channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=2)
    channel.basic_consume("s", take, arguments={"x-stream-offset": "first"})
    wait(channel)
    return got


def arguments(**values: Any) -> Case:
    named = {f"x-{name.replace('_', '-')}": value for name, value in values.items()}
    return declare("refused", arguments=named)


CASES: dict[str, Case] = {
    "transient": declare("x", durable=False),
    "exclusive": declare("x", exclusive=True),
    "auto-delete": declare("x", auto_delete=True),
    "all three": declare("x", durable=False, exclusive=True, auto_delete=True),
    "without a name": declare(""),
    "ttl": arguments(message_ttl=1),
    "expires": arguments(expires=0),
    "max-length": arguments(max_length=1),
    "overflow": arguments(overflow="no"),
    "negative size": arguments(max_length_bytes=-1),
    "dead letters": arguments(dead_letter_exchange="x"),
    "priority": arguments(max_priority=3),
    "single": arguments(single_active_consumer=True),
    "locator": arguments(queue_leader_locator="no"),
    "delivery limit": arguments(delivery_limit=5),
    "age without unit": arguments(max_age="5"),
    "age of no unit": arguments(max_age="5x"),
    "age that is a number": arguments(max_age=5),
    "two ages": arguments(max_age="1Y2M"),
    "no age": arguments(max_age="0s"),
    "negative segment": arguments(stream_max_segment_size_bytes=-1),
    "large segment": arguments(stream_max_segment_size_bytes=3_000_000_001),
    "cluster": arguments(initial_cluster_size=0),
    "again": declare(),
    "again with an age": declare(arguments={"x-max-age": "1D"}),
    "again with what none knows": declare(arguments={"x-mine": 1}),
    "get": lambda channel: channel.basic_get("s"),
    "purge": lambda channel: channel.queue_purge("s"),
    "global qos": consume(global_qos=True),
    "first": consume(x_stream_offset="first"),
    "last": consume(x_stream_offset="last"),
    "next": consume(x_stream_offset="next"),
    "by default": consume(),
    "at 0": consume(x_stream_offset=0),
    "at 3": consume(x_stream_offset=3),
    "below 0": consume(x_stream_offset=-1),
    "behind the end": consume(x_stream_offset=100),
    "a week ago": consume(x_stream_offset="7D"),
    "an hour ago": consume(x_stream_offset="1h"),
    "long ago": consume(x_stream_offset=datetime(2020, 1, 1, tzinfo=UTC)),
    "little credit": consume(prefetch=2, x_stream_offset=1),
    "acknowledged": acknowledge,
    "a number as text": consume(x_stream_offset="5"),
    "no time ago": consume(x_stream_offset="0s"),
    "two times ago": consume(x_stream_offset="7D1h"),
    "consumer priority": consume(x_priority=5),
    "ha failover": consume(x_cancel_on_ha_failover=True),
    "credit": consume(x_credit=5),
}


def delete(channel: BlockingChannel) -> Any:
    return channel.queue_delete("s", if_unused=True).method


def answer(port: int, case: Case) -> str:
    """What a case comes to, on a connection of its own."""
    connection = pika.BlockingConnection(pika.ConnectionParameters(port=port))
    try:
        result: object = case(connection.channel())
    except (ChannelClosedByBroker, ConnectionClosedByBroker) as closed:
        result = (closed.reply_code, closed.reply_text)
    with suppress(AMQPError):
        connection.close()
    return str(result)


def fill(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.queue_declare("s", durable=True, arguments=STREAM)
    channel.queue_bind("s", "amq.topic", "a.*")
    for number in range(COUNT):
        exchange, key = (("", "s"), ("amq.topic", "a.b"))[number % 2]
        headers = {"n": number, "x-stream-offset": "mine"} if number % 3 else None
        properties = pika.BasicProperties(headers=headers, delivery_mode=1 + number % 2)
        channel.basic_publish(exchange, key, b"%d" % number, properties)


def answers(port: int) -> dict[str, str]:
    """What all cases come to. Those that only ask are put at once, since most of it is waiting."""
    answer(port, fill)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        heard = threads.map(lambda case: answer(port, case), CASES.values())
        return dict(zip(CASES, heard, strict=True)) | {"deleted if unused": answer(port, delete)}


@pytest.fixture(scope="module")
def both(brokers: Brokers) -> list[dict[str, str]]:
    """Theirs and ours."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(answers, (broker.port for broker in brokers)))


@pytest.mark.parametrize("name", [*CASES, "deleted if unused"])
def test_agree(both: list[dict[str, str]], name: str) -> None:
    theirs, ours = both
    assert ours[name] == theirs[name]
