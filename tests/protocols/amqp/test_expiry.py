"""Messages and queues that last only for a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


def lasting(milliseconds: int, *, persistent: bool = False) -> bytes:
    return encode_properties({"expiration": str(milliseconds), "delivery_mode": 1 + persistent})


def count(peer: AmqpPeer, queue: str = "q") -> int:
    declared = peer.call(commands.Queue.Declare(queue=queue, passive=True))
    return int(declared.message_count)


def ttl(milliseconds: int) -> dict[str, Any]:
    return {"x-message-ttl": milliseconds}


def test_a_message_lasts_as_long_as_its_queue_says(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=ttl(1000))
    peer.publish("q", b"m")
    broker.clock.advance(0.999)
    assert count(peer) == 1
    broker.clock.advance(0.001)
    assert count(peer) == 0
    assert peer.get().name == "Basic.GetEmpty"


@pytest.mark.parametrize(("own", "of_queue"), [(100, 900), (900, 100), (100, None)])
def test_the_shorter_time_counts(broker: AmqpBroker, own: int, of_queue: int | None) -> None:
    peer = broker.connect()
    peer.declare(arguments=ttl(of_queue) if of_queue else {})
    peer.publish("q", b"m", lasting(own))
    broker.clock.advance(0.099)
    assert count(peer) == 1
    broker.clock.advance(0.001)
    assert count(peer) == 0


def test_only_the_head_expires(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare()
    for body, time_ms in ((b"a", 500), (b"b", 100), (b"c", 100)):
        peer.publish("q", body, lasting(time_ms))
    peer.publish("q", b"d")
    broker.clock.advance(0.2)
    assert count(peer) == 4
    got = peer.get()
    assert (got.body, got.command.message_count) == (b"a", 1)
    assert count(peer) == 1
    peer.method(1, commands.Basic.Nack(delivery_tag=got.command.delivery_tag))
    assert count(peer) == 2
    broker.clock.advance(0.3)
    assert count(peer) == 1
    assert peer.get().body == b"d"


def test_consumers_never_get_what_is_past_its_time(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare()
    for number in range(10):
        peer.publish("q", b"%d" % number, lasting(100) if number % 3 else lasting(900))
    broker.clock.advance(0.5)
    assert [each.body for each in peer.consume()] == [b"0", b"3", b"6", b"9"]
    assert broker.virtual_host.queues["q"].unsettled_count == 4


def test_a_time_of_nothing_means_at_once(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=ttl(0))
    peer.publish("q", b"nobody is there")
    assert count(peer) == 0
    peer.method(1, commands.Basic.Qos(prefetch_count=1))
    peer.receive_all()
    peer.consume()
    peer.publish("q", b"a")
    peer.publish("q", b"no credit")
    assert peer.bodies() == [b"a"]
    peer.ack(1)
    assert peer.bodies() == []
    peer.publish("q", b"b")
    assert peer.bodies() == [b"b"]
    peer.method(1, commands.Basic.Nack(delivery_tag=2))
    assert peer.bodies() == []


def test_what_expires_goes_to_the_dead_letter_exchange(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead")
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", **ttl(500)}
    peer.declare(arguments=arguments)
    peer.publish("q", b"a", lasting(700))
    peer.publish("q", b"b")
    assert peer.consume("dead") == []
    broker.clock.advance(0.5)
    first, second = peer.deliveries()
    assert (first.body, second.body) == (b"a", b"b")
    properties = decode_properties(first.properties)
    assert "expiration" not in properties
    (event,) = properties["headers"]["x-death"]
    assert (event["reason"], event["original-expiration"]) == ("expired", "700")
    (event,) = decode_properties(second.properties)["headers"]["x-death"]
    assert "original-expiration" not in event


def test_deadlines_survive_a_restart(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(durable=True)
    peer.declare("dead", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", **ttl(3000)}
    peer.declare("other", durable=True, arguments=arguments)
    peer.publish("q", b"short", lasting(1000, persistent=True))
    peer.publish("q", b"long", PERSISTENT)
    peer.publish("other", b"dies", PERSISTENT)
    peer.lose()
    broker.restart()
    peer = broker.connect()
    assert (count(peer), count(peer, "other")) == (2, 1)
    broker.clock.advance(1)
    assert count(peer) == 1
    peer.lose()
    broker.stop()
    broker.clock.advance(2)
    broker._start()
    peer = broker.connect()
    assert (count(peer, "other"), count(peer, "dead")) == (0, 1)
    assert peer.get().body == b"long"


def test_one_timer_for_many_messages(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=ttl(1000))
    before = len(broker.clock.getDelayedCalls())
    for _ in range(50):
        peer.publish("q", b"m")
        broker.clock.advance(0.01)
    assert len(broker.clock.getDelayedCalls()) == before + 1
    broker.clock.advance(1)
    assert len(broker.clock.getDelayedCalls()) == before


def test_many_expire_together(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=ttl(10))
    for _ in range(3000):
        peer.publish("q", b"m")
    assert count(peer) == 3000
    broker.clock.advance(0.01)
    assert broker.virtual_host.queues["q"].light.ready_count == 0


def test_an_unused_queue_goes(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={"x-expires": 1000})
    peer.publish("q", b"m")
    broker.clock.advance(0.9)
    assert peer.get().name == "Basic.GetOk"
    broker.clock.advance(0.9)
    assert count(peer) == 0
    broker.clock.advance(0.9)
    peer.consume()
    broker.clock.advance(5)
    peer.call(commands.Basic.Cancel(consumer_tag="t"))
    broker.clock.advance(0.9)
    assert "q" in broker.virtual_host.queues
    broker.clock.advance(0.1)
    assert "q" not in broker.virtual_host.queues


def test_the_time_of_an_unused_queue_begins_anew_with_a_restart(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(durable=True, arguments={"x-expires": 1000})
    peer.lose()
    broker.stop()
    broker.clock.advance(5)
    broker._start()
    assert "q" in broker.virtual_host.queues
    broker.clock.advance(1)
    assert "q" not in broker.virtual_host.queues
