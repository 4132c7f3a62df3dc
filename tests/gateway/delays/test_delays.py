"""Delayed messages whose time comes when the world is not as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from gateway.messages import Envelope, Properties
from gateway.vhosts.virtual_host import VirtualHost
from protocols.http.language import HTTP, encode_stored
from tests.support.amqp_peer import AmqpBroker
from tests.support.disk import FullDisk
from tests.support.http_peer import HttpBroker
from tests.support.topology import bodies


@pytest.fixture
def broker(tmp_path: Path) -> HttpBroker:
    broker = HttpBroker(tmp_path)
    broker.virtual_host.declare_queue(QueueDeclaration("q", durable=True))
    return broker


def delay(host: VirtualHost, body: bytes, exchange: str = "", **headers: int) -> None:
    """Publish by the HTTP API's language; underscores in the names of headers are hyphens."""
    texts = {name.replace("_", "-"): value for name, value in headers.items()}
    header = HTTP.make_header(Properties(headers=dict(texts), persistent=True))
    message = (Envelope(exchange, "q"), header, body)
    route = host.route(exchange, "q", header)
    assert (route.waits, route.queues) == (True, ())
    host.intake.publish([(route, message, encode_stored(message))])


def test_an_exchange_that_is_gone_by_then(broker: HttpBroker) -> None:
    host = broker.virtual_host
    host.declare_exchange(ExchangeDeclaration("e", "fanout"))
    host.bind(QueueBinding("q", "e", ""))
    delay(host, b"x", "e", x_rosetta_delay=1000)
    delay(host, b"y", x_rosetta_delay=1000)
    host.delete_exchange("e")
    broker.clock.advance(1)
    assert bodies(host.queues["q"]) == [b"y"]
    assert host.delays.total_count == 0


def test_a_language_that_is_gone_by_then(broker: HttpBroker) -> None:
    """It is reported, and does not hold up the others."""
    delay(broker.virtual_host, b"x", x_rosetta_delay=1000)
    broker.stop()
    without = AmqpBroker(broker.folder)
    host = without.virtual_host
    without.clock.advance(broker.clock.seconds() - without.clock.seconds() + 1)
    assert bodies(host.queues["q"]) == []
    assert host.delays.look(None, 9) == []
    assert host.delays.total_count == 0


def test_a_disk_that_is_full_by_then(broker: HttpBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    host = broker.virtual_host
    delay(host, b"x", x_rosetta_delay=1000)
    disk = FullDisk(monkeypatch, room=0)
    broker.clock.advance(1.5)
    assert bodies(host.queues["q"]) == []
    assert host.delays.total_count == 1
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert bodies(host.queues["q"]) == [b"x"]


def test_a_queue_that_is_full_by_then(broker: HttpBroker) -> None:
    host = broker.virtual_host
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    host.declare_queue(QueueDeclaration("small", arguments=arguments))
    host.declare_exchange(ExchangeDeclaration("e", "fanout"))
    host.bind(QueueBinding("small", "e", ""))
    for body in (b"x", b"y"):
        delay(host, body, "e", x_rosetta_delay=1000)
    broker.clock.advance(1)
    assert bodies(host.queues["small"]) == [b"x"]
    assert host.delays.total_count == 0
