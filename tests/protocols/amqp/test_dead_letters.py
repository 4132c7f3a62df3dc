"""Dead letters as an AMQP client sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from gateway.values import Long, Short, Timestamp
from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer, Received

TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
NOW_S = 1_700_000_000


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


def declare(peer: AmqpPeer, name: str, durable: bool = False, **arguments: Any) -> None:
    """Declare a queue; underscores in the names of arguments are hyphens."""
    peer.declare(
        name,
        durable=durable,
        arguments={key.replace("_", "-"): value for key, value in arguments.items()},
    )


def reject(peer: AmqpPeer, queue: str = "q") -> None:
    delivery = peer.get(queue)
    assert delivery.name == "Basic.GetOk"
    peer.method(1, commands.Basic.Reject(delivery_tag=delivery.command.delivery_tag, requeue=False))


def properties_of(received: Received) -> dict[str, Any]:
    assert received.name == "Basic.GetOk", received.name
    return decode_properties(received.properties)


def test_a_rejected_message_goes_to_the_dead_letter_exchange(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead")
    peer.declare("q", arguments=TO_DEAD)
    sent = {
        "content_type": "text/plain",
        "headers": {"short": Short(3), "x-death": "of nobody's"},
        "delivery_mode": 2,
        "priority": 4,
        "expiration": "60000",
        "message_id": "m",
    }
    peer.publish("q", b"body", encode_properties(sent))
    reject(peer)
    got = peer.get("dead")
    assert got.body == b"body"
    assert (got.command.exchange, got.command.routing_key) == ("", "dead")
    assert not got.command.redelivered
    properties = properties_of(got)
    headers = properties.pop("headers")
    assert properties == {
        name: value for name, value in sent.items() if name not in ("headers", "expiration")
    }
    assert type(headers["short"]) is Short
    assert headers == {
        "short": 3,
        "x-death": [
            {
                "count": 1,
                "reason": "rejected",
                "queue": "q",
                "time": NOW_S,
                "exchange": "",
                "routing-keys": ["q"],
                "original-expiration": "60000",
            }
        ],
        "x-first-death-reason": "rejected",
        "x-first-death-queue": "q",
        "x-first-death-exchange": "",
        "x-last-death-reason": "rejected",
        "x-last-death-queue": "q",
        "x-last-death-exchange": "",
    }
    (event,) = headers["x-death"]
    assert type(event["count"]) is Long
    assert type(event["time"]) is Timestamp
    assert broker.virtual_host.queues["q"].unsettled_count == 0


def test_nack_of_many_keeps_their_order_and_keys(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.call(commands.Exchange.Declare(exchange="dlx", exchange_type="fanout"))
    peer.declare("dead")
    peer.call(commands.Queue.Bind(queue="dead", exchange="dlx"))
    declare(peer, "q", x_dead_letter_exchange="dlx")
    for number in range(5):
        peer.publish("q", b"%d" % number)
    assert len(peer.consume("q")) == 5
    peer.method(1, commands.Basic.Nack(delivery_tag=0, multiple=True, requeue=False))
    for number in range(5):
        got = peer.get("dead")
        assert got.body == b"%d" % number
        assert (got.command.exchange, got.command.routing_key) == ("dlx", "q")


def test_the_history_of_one_that_comes_back(broker: AmqpBroker) -> None:
    """Rejected in a circle: one event for each queue and reason, the newest first."""
    peer = broker.connect()
    declare(peer, "a", x_dead_letter_exchange="", x_dead_letter_routing_key="b")
    declare(peer, "b", x_dead_letter_exchange="", x_dead_letter_routing_key="a")
    peer.publish("a", b"m")
    for queue in ("a", "b", "a"):
        reject(peer, queue)
        broker.clock.advance(1)
    headers = properties_of(peer.get("b"))["headers"]
    assert [(event["queue"], event["count"], event["time"]) for event in headers["x-death"]] == [
        ("a", 2, NOW_S),
        ("b", 1, NOW_S + 1),
    ]
    assert headers["x-death"][0]["exchange"] == ""
    assert (headers["x-first-death-queue"], headers["x-last-death-queue"]) == ("a", "a")


def test_without_an_exchange_it_is_dropped(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, "q", x_dead_letter_exchange="missing")
    peer.publish("q", b"m")
    reject(peer)
    queue = broker.virtual_host.queues["q"]
    assert (queue.ready_count, queue.unsettled_count) == (0, 0)


def test_a_durable_one_is_settled_when_its_dead_letter_is_safe(broker: AmqpBroker) -> None:
    """What was held back at a crash comes back in both queues, never in none."""
    peer = broker.connect()
    declare(peer, "dead", durable=True)
    peer.declare("q", durable=True, arguments=TO_DEAD)
    peer.publish("q", b"m", PERSISTENT)
    got = peer.get("q")
    broker.disk.held = True
    peer.method(1, commands.Basic.Reject(delivery_tag=got.command.delivery_tag, requeue=False))
    queues = broker.virtual_host.queues
    assert queues["dead"].ready_count == 1
    assert queues["q"].unsettled_count == 1
    broker.disk.release()
    assert queues["q"].unsettled_count == 0
    peer.lose()
    broker.restart()
    peer = broker.connect()
    assert peer.get("q").name == "Basic.GetEmpty"
    got = peer.get("dead")
    assert properties_of(got)["headers"]["x-death"][0]["queue"] == "q"
    # Read back from the log, its history still counts.
    peer.method(1, commands.Basic.Ack(delivery_tag=got.command.delivery_tag))


def test_the_history_is_known_after_a_restart(broker: AmqpBroker) -> None:
    peer = broker.connect()
    loop = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    peer.declare("q", durable=True, arguments=loop)
    peer.publish("q", b"m", PERSISTENT)
    reject(peer)
    peer.lose()
    broker.restart()
    peer = broker.connect()
    reject(peer)
    (event,) = properties_of(peer.get("q"))["headers"]["x-death"]
    assert event["count"] == 2
