"""A real broker and unchanged clients: what they delay comes in time, and survives kill -9."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
import stomp
from click.testing import CliRunner
from stomp.utils import Frame

from gateway.__main__ import main
from gateway.demo.broker_process import BrokerProcess
from gateway.service.addresses import format_address
from rosettamq import Message, Producer, SimpleConsumer

pytestmark = pytest.mark.interop
WAIT_S = 10.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path) as broker:
        yield broker


@pytest.fixture
def channel(broker: BrokerProcess) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.ConnectionParameters(*broker.addresses["amqp"]))
    yield connection.channel()
    connection.close()


def receive(channel: Any, queue: str) -> tuple[Any, bytes]:
    """The properties and the body of the next message."""
    for _, properties, body in channel.consume(queue, inactivity_timeout=WAIT_S, auto_ack=True):
        channel.cancel()
        assert body is not None, "nothing came"
        return properties, body
    raise AssertionError("the consumer was cancelled")


def test_pika_and_the_delayed_exchange(channel: Any) -> None:
    """The program of the plugin's README, in Python."""
    channel.exchange_declare(
        "my-exchange", "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"}
    )
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "my-exchange", "")
    channel.confirm_delivery()
    begun = time.monotonic()
    for body, delay_ms in ((b"delayed payload", 800), (b"more delayed payload", 200)):
        properties = pika.BasicProperties(headers={"x-delay": delay_ms})
        channel.basic_publish("my-exchange", "", body, properties)
    properties, body = receive(channel, queue)
    assert (properties.headers, body) == ({"x-delay": -200}, b"more delayed payload")
    assert time.monotonic() - begun >= 0.2
    assert receive(channel, queue)[1] == b"delayed payload"
    assert time.monotonic() - begun >= 0.8


def test_stomp_schedules(broker: BrokerProcess, channel: Any) -> None:
    class Inbox(stomp.ConnectionListener):
        def __init__(self) -> None:
            self.receipts: list[str] = []

        def on_receipt(self, frame: Frame) -> None:
            self.receipts.append(frame.headers["receipt-id"])

    connection = stomp.Connection12([broker.addresses["stomp"]], vhost="/")
    inbox = Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect("guest", "guest", wait=True)
    headers = {"AMQ_SCHEDULED_DELAY": "300", "AMQ_SCHEDULED_PERIOD": "100"}
    headers |= {"AMQ_SCHEDULED_REPEAT": "1", "receipt": "stored"}
    begun = time.monotonic()
    connection.send("/queue/scheduled", "hello", headers=headers)
    channel.queue_declare("scheduled", passive=False, durable=True)
    assert [receive(channel, "scheduled")[1] for _ in range(2)] == [b"hello", b"hello"]
    assert time.monotonic() - begun >= 0.4
    connection.disconnect()
    assert "stored" in inbox.receipts


def test_the_sdk_and_a_delay_level(broker: BrokerProcess) -> None:
    name_server = format_address(*broker.addresses["name_server"])
    message = Message("levels", b"body")
    message.delay_level = 1
    begun = time.monotonic()
    with Producer("producers", name_server=name_server) as producer:
        producer.send(message)
    with SimpleConsumer("levels", name_server, {"levels": "*"}) as consumer:
        (received,) = consumer.receive(wait_s=WAIT_S)
        consumer.ack(received)
    assert received.body == b"body"
    assert time.monotonic() - begun >= 1.0


def test_listed_cancelled_and_there_after_a_kill(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        connection = pika.BlockingConnection(pika.ConnectionParameters(*broker.addresses["amqp"]))
        channel = connection.channel()
        channel.queue_declare("q", durable=True)
        channel.confirm_delivery()
        for body, delay_ms in ((b"cancelled", 60_000), (b"kept", 3_000)):
            properties = pika.BasicProperties(headers={"x-rosetta-delay": delay_ms})
            channel.basic_publish("", "q", body, properties)
        url = f"http://{format_address(*broker.addresses['http'])}"
        connection.close()
        listed = CliRunner().invoke(main, ["delayed", "list", "--url", url])
        assert listed.exit_code == 0, listed.output
        _, _, last = listed.output.strip().splitlines()[:3]
        id = last.split()[0]
        cancelled = CliRunner().invoke(main, ["delayed", "cancel", id, "--url", url])
        assert cancelled.exit_code == 0, cancelled.output
        broker.kill()
    with BrokerProcess(tmp_path) as broker:
        connection = pika.BlockingConnection(pika.ConnectionParameters(*broker.addresses["amqp"]))
        assert receive(connection.channel(), "q")[1] == b"kept"
        url = f"http://{format_address(*broker.addresses['http'])}"
        listed = CliRunner().invoke(main, ["delayed", "list", "--url", url, "--json"])
        assert '"total_count": 0' in listed.output
        connection.close()
