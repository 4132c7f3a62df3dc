"""RabbitMQ's six tutorials, with pika, as their readers write them.

Each receiver is a process of its own, as in the tutorials: `tutorials_program.py URL --as name
[word ...]` prints what it receives until it is stopped.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
from report import equal, main

WAIT_S = 20.0


# The receivers


def connect(url: str) -> Any:
    return pika.BlockingConnection(pika.URLParameters(url))


def receive(url: str) -> None:
    channel = connect(url).channel()
    channel.queue_declare(queue="tutorials.hello")

    def callback(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        print(f" [x] Received {body.decode()}", flush=True)

    channel.basic_consume("tutorials.hello", callback, auto_ack=True)
    print(" [*] Waiting", flush=True)
    channel.start_consuming()


def work(url: str) -> None:
    channel = connect(url).channel()
    channel.queue_declare(queue="tutorials.tasks", durable=True)

    def callback(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        time.sleep(body.count(b".") / 10)
        print(f" [x] Done {body.decode()}", flush=True)
        channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("tutorials.tasks", callback)
    print(" [*] Waiting", flush=True)
    channel.start_consuming()


def receive_logs(url: str, exchange: str, type: str, *keys: str) -> None:
    channel = connect(url).channel()
    channel.exchange_declare(exchange=exchange, exchange_type=type)
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    for key in keys or ("",):
        channel.queue_bind(queue, exchange, routing_key=key)

    def callback(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        print(f" [x] {method.routing_key}:{body.decode()}", flush=True)

    channel.basic_consume(queue, callback, auto_ack=True)
    print(" [*] Waiting", flush=True)
    channel.start_consuming()


def serve(url: str) -> None:
    channel = connect(url).channel()
    channel.queue_declare(queue="tutorials.rpc")

    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    def answer(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        came_with = pika.BasicProperties(correlation_id=properties.correlation_id)
        reply = str(fibonacci(int(body)))
        channel.basic_publish("", properties.reply_to, reply, came_with)
        channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("tutorials.rpc", answer)
    print(" [x] Awaiting RPC requests", flush=True)
    channel.start_consuming()


RECEIVERS = {"receive": receive, "work": work, "receive logs": receive_logs, "serve": serve}


@contextmanager
def receiver(url: str, *words: str) -> Iterator[Any]:
    """Another process that waits already; iterate over the lines that it prints."""
    process = subprocess.Popen(
        [sys.executable, __file__, url, "--as", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process.stdout
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


# The senders, and what comes of it


def hello_world(url: str) -> Any:
    with receiver(url, "receive") as lines:
        connection = connect(url)
        channel = connection.channel()
        channel.queue_declare(queue="tutorials.hello")
        channel.basic_publish(exchange="", routing_key="tutorials.hello", body="Hello World!")
        connection.close()
        equal(lines.readline(), " [x] Received Hello World!\n")


def work_queues(url: str) -> Any:
    """Two workers; the one with a long task gets no second one meanwhile."""
    with receiver(url, "work") as one, receiver(url, "work") as other:
        connection = connect(url)
        channel = connection.channel()
        channel.queue_declare(queue="tutorials.tasks", durable=True)
        persistent = pika.BasicProperties(delivery_mode=2)
        for task in ("long..........", "a.", "b.", "c."):
            channel.basic_publish("", "tutorials.tasks", task, persistent)
        connection.close()
        equal([other.readline() for _ in range(3)], [f" [x] Done {task}.\n" for task in "abc"])
        equal(one.readline(), " [x] Done long..........\n")


def publish_subscribe(url: str) -> Any:
    words = ("receive logs", "tutorials.logs", "fanout")
    with receiver(url, *words) as one, receiver(url, *words) as other:
        emit(url, "tutorials.logs", "fanout", ("", "info: Hello World!"))
        equal(one.readline(), " [x] :info: Hello World!\n")
        equal(other.readline(), " [x] :info: Hello World!\n")


def routing(url: str) -> Any:
    words = ("receive logs", "tutorials.direct_logs", "direct")
    with receiver(url, *words, "error") as some, receiver(url, *words, "info", "error") as all:
        messages = [("info", "Run."), ("error", "Run. Run. Or it will explode.")]
        emit(url, "tutorials.direct_logs", "direct", *messages)
        equal(some.readline(), " [x] error:Run. Run. Or it will explode.\n")
        equal([all.readline() for _ in range(2)], [f" [x] {k}:{text}\n" for k, text in messages])


def topics(url: str) -> Any:
    words = ("receive logs", "tutorials.topic_logs", "topic")
    with receiver(url, *words, "kern.*") as kernel, receiver(url, *words, "#") as all:
        messages = [("kern.critical", "A critical kernel error"), ("auth.info", "Logged in")]
        emit(url, "tutorials.topic_logs", "topic", *messages[::-1])
        equal(kernel.readline(), " [x] kern.critical:A critical kernel error\n")
        lines = [f" [x] {key}:{text}\n" for key, text in messages[::-1]]
        equal([all.readline() for _ in range(2)], lines)


def emit(url: str, exchange: str, type: str, *messages: tuple[str, str]) -> None:
    connection = connect(url)
    channel = connection.channel()
    channel.exchange_declare(exchange=exchange, exchange_type=type)
    for key, text in messages:
        channel.basic_publish(exchange=exchange, routing_key=key, body=text)
    connection.close()


def remote_procedure_call(url: str) -> Any:
    with receiver(url, "serve"):
        connection = connect(url)
        channel = connection.channel()
        queue = channel.queue_declare(queue="", exclusive=True).method.queue
        asked, responses = str(uuid.uuid4()), []

        def on_response(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            if properties.correlation_id == asked:
                responses.append(int(body))

        channel.basic_consume(queue, on_response, auto_ack=True)
        properties = pika.BasicProperties(reply_to=queue, correlation_id=asked)
        channel.basic_publish("", "tutorials.rpc", "20", properties)
        connection.process_data_events(time_limit=WAIT_S)
        connection.close()
        equal(responses, [6765])


SCENARIOS = {
    "hello world": hello_world,
    "work queues": work_queues,
    "publish/subscribe": publish_subscribe,
    "routing": routing,
    "topics": topics,
    "RPC": remote_procedure_call,
}

if __name__ == "__main__":
    if "--as" in sys.argv:
        url, _, name, *words = sys.argv[1:]
        RECEIVERS[name](url, *words)
    else:
        main("pika", SCENARIOS)
