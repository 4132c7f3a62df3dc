"""pika's BlockingConnection: every scenario of the table."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    UnroutableError,
)
from report import check, equal, main

WAIT_S = 10.0
PERSISTENT = pika.BasicProperties(delivery_mode=2)


@contextmanager
def open_channel(url: str, **options: Any) -> Iterator[BlockingChannel]:
    parameters = pika.URLParameters(url)
    for name, value in options.items():
        setattr(parameters, name, value)
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def count(channel: BlockingChannel, queue: str) -> int:
    return channel.queue_declare(queue, passive=True).method.message_count


def take(channel: BlockingChannel, queue: str, **options: Any) -> Any:
    """One message, or a failure."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        method, properties, body = channel.basic_get(queue, **options)
        if method is not None:
            return method, properties, body
    raise AssertionError(f"nothing came from {queue}")


def wait_for_count(channel: BlockingChannel, queue: str, expected: int) -> None:
    """Unconfirmed messages may still be on their way to the queue."""
    deadline = time.monotonic() + WAIT_S
    while (found := count(channel, queue)) != expected:
        check(time.monotonic() < deadline, f"{found} messages in {queue}, not {expected}")


def wait_for(channel: BlockingChannel, condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        check(time.monotonic() < deadline, "not in time")
        channel.connection.process_data_events(0.05)


def refused_login(url: str) -> Any:
    try:
        with open_channel(url, credentials=pika.PlainCredentials("guest", "wrong")):
            raise AssertionError("a wrong password was accepted")
    except AMQPConnectionError as error:
        return repr(error)


def exchange_types(url: str) -> Any:
    keys = {"direct": "a.b", "fanout": "ignored", "topic": "a.*", "headers": ""}
    counts = {"direct": 2, "fanout": 6, "topic": 4, "headers": 3}
    with open_channel(url) as channel:
        for type, key in keys.items():
            exchange = queue = f"pika.{type}"
            channel.exchange_declare(exchange, type, durable=True)
            channel.queue_declare(queue, durable=True)
            arguments = {"x-match": "all", "shape": "round", "size": 3}
            channel.queue_bind(queue, exchange, key, arguments if type == "headers" else None)
            for headers in ({"shape": "round", "size": 3}, {"shape": "round"}):
                for routing_key in ("a.b", "a.c", "a.b.c"):
                    properties = pika.BasicProperties(headers=headers)
                    channel.basic_publish(exchange, routing_key, b"", properties)
            wait_for_count(channel, queue, counts[type])
    return counts


def confirms(url: str) -> Any:
    with open_channel(url) as channel:
        channel.queue_declare("pika.confirms", durable=True)
        channel.confirm_delivery()
        for number in range(1_000):
            channel.basic_publish("", "pika.confirms", b"%d" % number, PERSISTENT)
        equal(count(channel, "pika.confirms"), 1_000)


def mandatory_return(url: str) -> Any:
    with open_channel(url) as channel:
        channel.confirm_delivery()
        try:
            channel.basic_publish("", "pika.nowhere", b"back", mandatory=True)
        except UnroutableError as error:
            (returned,) = error.messages
            equal(returned.body, b"back")
            return f"{returned.method.reply_code} {returned.method.reply_text}"
    raise AssertionError("nothing was returned")


def prefetch(url: str) -> Any:
    tags: list[Any] = []
    with open_channel(url) as channel:
        channel.queue_declare("pika.prefetch")
        for _ in range(50):
            channel.basic_publish("", "pika.prefetch", b"")
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume("pika.prefetch", lambda c, method, p, b: tags.append(method))
        wait_for(channel, lambda: len(tags) >= 10)
        wait_for_count(channel, "pika.prefetch", 40)
        equal(len(tags), 10)
        while len(tags) < 50:
            channel.basic_ack(tags[-1].delivery_tag, multiple=True)
            before = len(tags)
            wait_for(channel, lambda before=before: len(tags) > before)
        channel.basic_ack(tags[-1].delivery_tag, multiple=True)


def requeue(url: str) -> Any:
    with open_channel(url) as channel:
        channel.queue_declare("pika.requeue")
        channel.basic_publish("", "pika.requeue", b"again")
        first, _, _ = take(channel, "pika.requeue")
        channel.basic_nack(first.delivery_tag, requeue=True)
        second, _, body = take(channel, "pika.requeue")
        equal(body, b"again")
        channel.basic_ack(second.delivery_tag)
        seen = [first.redelivered, second.redelivered]
    equal(seen, [False, True])
    return seen


def dead_letters(url: str) -> Any:
    with open_channel(url) as channel:
        channel.queue_declare("pika.dead")
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "pika.dead"}
        channel.queue_declare("pika.dying", arguments=arguments)
        properties = pika.BasicProperties(headers={"kept": "as it was"})
        channel.basic_publish("", "pika.dying", b"corpse", properties)
        method, _, _ = take(channel, "pika.dying")
        channel.basic_reject(method.delivery_tag, requeue=False)
        _, properties, body = take(channel, "pika.dead", auto_ack=True)
    equal(body, b"corpse")
    headers = properties.headers
    (death,) = headers.pop("x-death")
    equal(headers.pop("kept"), "as it was")
    time = death.pop("time")
    equal(type(time), datetime)
    equal((death["reason"], death["count"], death["queue"]), ("rejected", 1, "pika.dying"))
    # RabbitMQ has x-last-death-* since 3.13; the one to compare with may be older.
    first = {name: headers[name] for name in headers if "first" in name}
    return [death, first]


def header_types(url: str) -> Any:
    headers = {
        "bool": True,
        "int": -2_000_000_000,
        "long": 1 << 60,
        "decimal": Decimal("-12.34"),
        "text": "grüße",
        "octets": b"\x00\xff",
        "none": None,
        "time": datetime(2026, 2, 3, 4, 5, 6),
        "list": [1, "two", {"three": [3]}],
        "table": {"inner": {"most": True}},
    }
    with open_channel(url) as channel:
        channel.queue_declare("pika.table")
        properties = pika.BasicProperties(
            headers=headers, content_type="text/plain", priority=3, type="kind", app_id="pika"
        )
        channel.basic_publish("", "pika.table", b"", properties)
        _, came, _ = take(channel, "pika.table", auto_ack=True)
    # Since 1.4 pika says which time zone it is.
    came.headers["time"] = came.headers["time"].replace(tzinfo=None)
    equal(came, properties)
    return sorted(headers)


def transactions(url: str) -> Any:
    with open_channel(url) as channel, open_channel(url) as other:
        channel.queue_declare("pika.tx")
        channel.tx_select()
        channel.basic_publish("", "pika.tx", b"dropped")
        channel.tx_rollback()
        channel.basic_publish("", "pika.tx", b"kept")
        before = count(other, "pika.tx")
        channel.tx_commit()
        equal([before, count(other, "pika.tx")], [0, 1])
        equal(take(other, "pika.tx", auto_ack=True)[2], b"kept")


def direct_reply_to(url: str) -> Any:
    replies: list[bytes] = []

    def answer(channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        check(properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to)
        came_with = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, body.upper(), came_with)
        channel.basic_ack(method.delivery_tag)

    def keep(channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        equal(properties.correlation_id, "7")
        replies.append(body)

    with open_channel(url) as server, open_channel(url) as client:
        server.queue_declare("pika.rpc")
        server.basic_consume("pika.rpc", answer)
        client.basic_consume("amq.rabbitmq.reply-to", keep, auto_ack=True)
        request = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id="7")
        client.basic_publish("", "pika.rpc", b"question", request)
        deadline = time.monotonic() + WAIT_S
        while not replies:
            check(time.monotonic() < deadline, "no reply")
            server.connection.process_data_events(0.02)
            client.connection.process_data_events(0.02)
    equal(replies, [b"QUESTION"])


def cancel_notification(url: str) -> Any:
    with open_channel(url) as channel, open_channel(url) as other:
        channel.queue_declare("pika.cancel")
        tag = channel.basic_consume("pika.cancel", lambda *_: None, consumer_tag="watcher")
        cancelled: list[str] = []
        channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        other.queue_delete("pika.cancel")
        wait_for(channel, lambda: cancelled)
        equal(cancelled, [tag])
        return cancelled


def missing_queue(url: str) -> Any:
    with open_channel(url) as channel:
        other = channel.connection.channel()
        try:
            channel.queue_declare("pika.missing", passive=True)
            raise AssertionError("it is there")
        except ChannelClosedByBroker as error:
            seen = f"{error.reply_code} {error.reply_text}"
        check(channel.is_closed, "the channel is still open")
        other.queue_declare("pika.other", auto_delete=True)
        return seen


def large_message(url: str) -> Any:
    body = bytes(range(256)) * 8192
    with open_channel(url) as channel:
        channel.queue_declare("pika.large")
        channel.basic_publish("", "pika.large", body)
        check(take(channel, "pika.large", auto_ack=True)[2] == body, "another body came")


def unicode_names(url: str) -> Any:
    exchange, queue, key = "pika.příliš", "pika.žluťoučký 🐇", "κλειδί"
    with open_channel(url) as channel:
        channel.exchange_declare(exchange, "direct")
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, key)
        channel.basic_publish(exchange, key, "tělo".encode())
        method, _, _ = take(channel, queue, auto_ack=True)
    seen = [method.exchange, method.routing_key]
    equal(seen, [exchange, key])
    return seen


def heartbeats(url: str) -> Any:
    with open_channel(url, heartbeat=1) as channel:
        channel.connection.sleep(3.5)
        channel.queue_declare("pika.heartbeats", auto_delete=True)


def both_at_once(url: str) -> Any:
    with open_channel(url) as channel:
        channel.queue_declare("pika.both")

    def publish() -> None:
        with open_channel(url) as publisher:
            for number in range(5_000):
                publisher.basic_publish("", "pika.both", b"%d" % number)

    numbers: list[int] = []
    thread = threading.Thread(target=publish)
    with open_channel(url) as channel:
        channel.basic_qos(prefetch_count=100)
        thread.start()
        for method, _, body in channel.consume("pika.both", inactivity_timeout=WAIT_S):
            check(method is not None, f"only {len(numbers)} came")
            numbers.append(int(body))
            channel.basic_ack(method.delivery_tag)
            if len(numbers) == 5_000:
                break
        channel.cancel()
    thread.join()
    equal(numbers, list(range(5_000)))


SCENARIOS = {
    "refused login": refused_login,
    "exchange types": exchange_types,
    "confirms": confirms,
    "mandatory return": mandatory_return,
    "prefetch": prefetch,
    "requeue": requeue,
    "dead letters": dead_letters,
    "header types": header_types,
    "transactions": transactions,
    "direct reply-to": direct_reply_to,
    "cancel notification": cancel_notification,
    "missing queue": missing_queue,
    "large message": large_message,
    "unicode names": unicode_names,
    "heartbeats": heartbeats,
    "both at once": both_at_once,
}

if __name__ == "__main__":
    main("pika", SCENARIOS)
