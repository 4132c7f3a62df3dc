"""Who of several consumers gets the messages: one alone, or the one of the highest priority."""

from __future__ import annotations

from pathlib import Path

import pytest
from pamqp import commands

from gateway.values import Long
from tests.support.amqp_peer import AmqpBroker, AmqpPeer

SINGLE = {"x-single-active-consumer": True}


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    return broker.connect()


def tags(peer: AmqpPeer) -> list[str]:
    return [delivery.command.consumer_tag for delivery in peer.deliveries()]


def publish(peer: AmqpPeer, count: int) -> None:
    for number in range(count):
        peer.publish("q", b"%d" % number)


def test_a_single_active_consumer_gets_everything(peer: AmqpPeer) -> None:
    peer.declare(arguments=SINGLE)
    peer.consume(tag="a", no_ack=True)
    peer.consume(tag="b", no_ack=True, arguments={"x-priority": 1})
    peer.consume(tag="c", no_ack=True, arguments={"x-priority": Long(5)})
    peer.consume(tag="d", no_ack=True, arguments={"x-priority": 5})
    publish(peer, 3)
    assert tags(peer) == ["a", "a", "a"]
    for left, following in (("a", "c"), ("b", "c"), ("c", "d")):
        peer.call(commands.Basic.Cancel(consumer_tag=left))
        publish(peer, 2)
        assert tags(peer) == [following, following]


def test_the_others_wait_though_the_active_one_has_no_credit(peer: AmqpPeer) -> None:
    peer.declare(arguments=SINGLE)
    peer.call(commands.Basic.Qos(prefetch_count=1))
    peer.consume(tag="a")
    peer.consume(tag="b")
    publish(peer, 2)
    assert tags(peer) == ["a"]
    peer.method(1, commands.Basic.Cancel(consumer_tag="a"))
    answer, delivery = peer.receive_all()
    assert answer.name == "Basic.CancelOk"
    assert (delivery.command.consumer_tag, delivery.body) == ("b", b"1")


def test_when_the_active_one_leaves_the_next_gets_what_waits(
    broker: AmqpBroker, peer: AmqpPeer
) -> None:
    peer.declare(arguments=SINGLE)
    other = broker.connect()
    other.call(commands.Basic.Qos(prefetch_count=1))
    other.consume(tag="a")
    peer.consume(tag="b")
    publish(peer, 3)
    assert tags(other) == ["a"]
    other.lose()
    deliveries = peer.deliveries()
    assert [each.body for each in deliveries] == [b"0", b"1", b"2"]
    assert [each.command.redelivered for each in deliveries] == [True, False, False]


def test_nobody_is_exclusive_there(peer: AmqpPeer) -> None:
    peer.declare(arguments=SINGLE)
    assert peer.fail(commands.Basic.Consume(queue="q", exclusive=True)) == (
        "Channel.Close",
        403,
        "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
    )


def test_the_highest_priority_is_served_while_it_has_credit(peer: AmqpPeer) -> None:
    peer.declare()
    peer.call(commands.Basic.Qos(prefetch_count=2))
    peer.consume(tag="low")
    peer.consume(tag="lowest", arguments={"x-priority": -1})
    peer.consume(tag="high", arguments={"x-priority": 10})
    peer.consume(tag="too", arguments={"x-priority": 10})
    publish(peer, 8)
    deliveries = peer.deliveries()
    assert [each.command.consumer_tag for each in deliveries] == [
        "high", "too", "high", "too", "low", "low", "lowest", "lowest",
    ]  # fmt: skip
    publish(peer, 1)
    assert tags(peer) == []
    peer.ack(deliveries[-1].command.delivery_tag)
    assert tags(peer) == ["lowest"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"x-priority": "1"}, ': "expected integer, got longstr"'),
        ({"x-cancel-on-ha-failover": 1}, ": {unacceptable_type,signedint}"),
        ({"x-stream-offset": "first"}, " of queue type rabbit_classic_queue"),
    ],
)
def test_arguments_that_are_refused(
    peer: AmqpPeer, arguments: dict[str, object], reason: str
) -> None:
    peer.declare()
    (name,) = arguments
    assert peer.fail(commands.Basic.Consume(queue="q", arguments=arguments)) == (
        "Channel.Close",
        406,
        f"PRECONDITION_FAILED - invalid arg '{name}' for queue 'q' in vhost '/'{reason}",
    )
