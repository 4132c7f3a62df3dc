"""kombu with py-amqp: the scenarios as its users write them, and its delayed delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from amqp.exceptions import AccessRefused, NotFound
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    calculate_routing_key,
    declare_native_delayed_delivery_exchanges_and_queues,
    level_name,
)
from report import check, equal, main

WAIT_S = 10.0


def count(channel: Any, queue: str) -> int:
    return channel.queue_declare(queue, passive=True).message_count


def wait_for_count(channel: Any, queue: str, expected: int) -> None:
    """Unconfirmed messages may still be on their way to the queue."""
    deadline = time.monotonic() + WAIT_S
    while (found := count(channel, queue)) != expected:
        check(time.monotonic() < deadline, f"{found} messages in {queue}, not {expected}")


def take(queue: Any) -> Message:
    deadline = time.monotonic() + WAIT_S
    while (message := queue.get()) is None:
        check(time.monotonic() < deadline, f"nothing came from {queue.name}")
    return message


def drain_until(connection: Connection, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        check(time.monotonic() < deadline, "not in time")
        try:
            connection.drain_events(timeout=0.1)
        except TimeoutError:
            pass


def refused_login(url: str) -> Any:
    try:
        Connection(url.replace("guest:guest", "guest:wrong")).connect()
    except AccessRefused as error:
        return str(error)
    raise AssertionError("a wrong password was accepted")


def exchange_types(url: str) -> Any:
    keys = {"direct": "a.b", "fanout": "ignored", "topic": "a.*", "headers": ""}
    expected = {"direct": 2, "fanout": 6, "topic": 4, "headers": 3}
    all_of_it = {"x-match": "all", "shape": "round", "size": 3}
    with Connection(url) as connection:
        channel = connection.default_channel
        producer = Producer(channel)
        for type, key in keys.items():
            exchange = Exchange(f"kombu.{type}", type)
            arguments = all_of_it if type == "headers" else None
            queue = Queue(f"kombu.{type}", exchange, key, binding_arguments=arguments)
            queue(channel).declare()
            for headers in ({"shape": "round", "size": 3}, {"shape": "round"}):
                for routing_key in ("a.b", "a.c", "a.b.c"):
                    producer.publish("", routing_key, exchange=exchange, headers=headers)
            wait_for_count(channel, queue.name, expected[type])


def confirms(url: str) -> Any:
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        queue = Queue("kombu.confirms")
        queue(connection.default_channel).declare()
        producer = Producer(connection.default_channel)
        for number in range(1_000):
            producer.publish(number, "kombu.confirms", delivery_mode="persistent")
        equal(count(connection.default_channel, queue.name), 1_000)


def mandatory_return(url: str) -> Any:
    returned: list[tuple[Any, ...]] = []
    with Connection(url) as connection:
        producer = Producer(
            connection.default_channel,
            on_return=lambda error, exchange, key, message: returned.append((error, message)),
        )
        producer.publish("back", "kombu.nowhere", mandatory=True)
        drain_until(connection, lambda: returned)
    ((error, message),) = returned
    equal(message.body, "back")
    return str(error)


def prefetch(url: str) -> Any:
    messages: list[Message] = []
    with Connection(url) as connection:
        queue = Queue("kombu.prefetch", durable=False)
        queue(connection.default_channel).declare()
        producer = Producer(connection.default_channel)
        for _ in range(50):
            producer.publish("", "kombu.prefetch")
        with Consumer(connection, [queue], on_message=messages.append, prefetch_count=10):
            for expected in range(10, 51, 10):
                drain_until(connection, lambda expected=expected: len(messages) >= expected)
                wait_for_count(connection.default_channel, queue.name, 50 - expected)
                equal(len(messages), expected)
                messages[-1].ack(multiple=True)


def requeue(url: str) -> Any:
    with Connection(url) as connection:
        queue = Queue("kombu.requeue", durable=False)(connection.default_channel)
        queue.declare()
        Producer(connection.default_channel).publish("again", "kombu.requeue")
        first = take(queue)
        first.requeue()
        second = take(queue)
        second.ack()
    equal(second.payload, "again")
    came = [message.delivery_info["redelivered"] for message in (first, second)]
    equal(came, [False, True])


def dead_letters(url: str) -> Any:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "kombu.dead"}
    with Connection(url) as connection:
        dead = Queue("kombu.dead", durable=False)(connection.default_channel)
        dying = Queue("kombu.dying", durable=False, queue_arguments=arguments)
        dying = dying(connection.default_channel)
        dead.declare()
        dying.declare()
        producer = Producer(connection.default_channel)
        producer.publish("corpse", "kombu.dying", headers={"kept": "as it was"})
        take(dying).reject()
        message = take(dead)
        message.ack()
    equal(message.payload, "corpse")
    equal(message.headers["kept"], "as it was")
    (death,) = message.headers["x-death"]
    equal(type(death.pop("time")), datetime)
    return death


def header_types(url: str) -> Any:
    headers = {
        "bool": True,
        "int": -2_000_000_000,
        "long": 1 << 60,
        "decimal": Decimal("12.34"),
        "float": 0.1,
        "text": "grüße",
        "none": None,
        "time": datetime(2026, 2, 3, 4, 5, 6),
        "list": [1, "two", {"three": [3]}],
        "table": {"inner": {"most": True}},
    }
    with Connection(url) as connection:
        queue = Queue("kombu.table", durable=False)(connection.default_channel)
        queue.declare()
        producer = Producer(connection.default_channel)
        options = {"priority": 3, "correlation_id": "c", "reply_to": "r", "expiration": 60}
        producer.publish({"json": 1}, "kombu.table", headers=headers, **options)
        message = take(queue)
        message.ack()
    equal(message.payload, {"json": 1})
    equal(message.headers, headers)
    options["expiration"] = "60000"
    equal({name: message.properties[name] for name in options}, options)


def transactions(url: str) -> Any:
    with Connection(url) as connection, Connection(url) as other_connection:
        channel, other = connection.default_channel, other_connection.default_channel
        queue = Queue("kombu.tx", durable=False)(other)
        queue.declare()
        channel.tx_select()
        Producer(channel).publish("dropped", "kombu.tx")
        channel.tx_rollback()
        Producer(channel).publish("kept", "kombu.tx")
        before = count(other, "kombu.tx")
        channel.tx_commit()
        equal([before, count(other, "kombu.tx")], [0, 1])
        equal(take(queue).payload, "kept")


def missing_queue(url: str) -> Any:
    with Connection(url) as connection:
        channel = connection.channel()
        try:
            count(channel, "kombu.missing")
            raise AssertionError("it is there")
        except NotFound as error:
            connection.default_channel.queue_declare("kombu.other", auto_delete=True)
            return str(error)


def large_message(url: str) -> Any:
    body = bytes(range(256)) * 8192
    with Connection(url) as connection:
        queue = Queue("kombu.large", durable=False)(connection.default_channel)
        queue.declare()
        Producer(connection.default_channel).publish(body, "kombu.large")
        check(bytes(take(queue).payload) == body, "another body came")


def unicode_names(url: str) -> Any:
    with Connection(url) as connection:
        exchange = Exchange("kombu.příliš", durable=False)
        queue = Queue("kombu.žluťoučký 🐇", exchange, "κλειδί", durable=False)
        queue = queue(connection.default_channel)
        queue.declare()
        Producer(connection.default_channel).publish("tělo", "κλειδί", exchange=exchange)
        message = take(queue)
    equal(message.payload, "tělo")
    equal(message.delivery_info["routing_key"], "κλειδί")


def heartbeats(url: str) -> Any:
    with Connection(url, heartbeat=2) as connection:
        connection.connect()
        channel = connection.default_channel
        for _ in range(25):
            connection.heartbeat_check()
            try:
                connection.drain_events(timeout=0.2)
            except TimeoutError:
                pass
        channel.queue_declare("kombu.heartbeats", auto_delete=True)
        return connection.get_heartbeat_interval()


def both_at_once(url: str) -> Any:
    queue = Queue("kombu.both", durable=False)
    numbers: list[int] = []

    def publish() -> None:
        with Connection(url) as connection:
            producer = Producer(connection.default_channel)
            for number in range(5_000):
                producer.publish(number, "kombu.both")

    def keep(body: int, message: Message) -> None:
        numbers.append(body)
        message.ack()

    thread = threading.Thread(target=publish)
    with (
        Connection(url) as connection,
        Consumer(connection, [queue], callbacks=[keep], prefetch_count=100),
    ):
        thread.start()
        drain_until(connection, lambda: len(numbers) == 5_000)
        thread.join()
    equal(numbers, list(range(5_000)))


def delayed_delivery(url: str) -> Any:
    """28 topic exchanges and queues in a row, one per bit of the delay; as Celery uses them."""
    with Connection(url) as connection:
        declare_native_delayed_delivery_exchanges_and_queues(connection, "classic")
        exchange = Exchange("kombu.delayed", "topic")
        queue = Queue("kombu.delayed", exchange, "kombu.delayed")(connection.default_channel)
        queue.declare()
        bind_queue_to_native_delayed_delivery_exchange(connection, queue)
        key = calculate_routing_key(2, "kombu.delayed")
        started = time.monotonic()
        Producer(connection.default_channel).publish("late", key, exchange=level_name(27))
        message = take(queue)
        message.ack()
    waited_s = time.monotonic() - started
    check(1.9 < waited_s < 4.0, f"came after {waited_s:.3f} s")
    (death,) = message.headers["x-death"]
    return [death["reason"], death["queue"], death["exchange"], death["count"]]


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
    "missing queue": missing_queue,
    "large message": large_message,
    "unicode names": unicode_names,
    "heartbeats": heartbeats,
    "both at once": both_at_once,
    "delayed delivery": delayed_delivery,
}

if __name__ == "__main__":
    main("kombu", SCENARIOS)
