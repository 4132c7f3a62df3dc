"""Who of several consumers gets the messages: one alone, or the one of the highest priority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from gateway.values import Long
from tests.support.amqp_peer import AmqpBroker, AmqpPeer, method_frame, publish_frames

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


class TestInOneRead:
    """What was published before belongs to those who were there before."""

    def together(self, peer: AmqpPeer, command: Any) -> list[str]:
        """Publish a message, and say that in the same octets; the answers."""
        peer.send(publish_frames(1, "", "q", b"m") + method_frame(1, command))
        return [each.name for each in peer.receive_all()]

    def test_get(self, peer: AmqpPeer) -> None:
        peer.declare()
        peer.consume()
        assert self.together(peer, commands.Basic.Get(queue="q")) == [
            "Basic.Deliver",
            "Basic.GetEmpty",
        ]

    def test_cancel(self, peer: AmqpPeer) -> None:
        peer.declare()
        peer.consume()
        peer.consume(tag="low", arguments={"x-priority": -1})
        assert self.together(peer, commands.Basic.Cancel(consumer_tag="t")) == [
            "Basic.Deliver",
            "Basic.CancelOk",
        ]

    def test_a_consumer_of_higher_priority(self, peer: AmqpPeer) -> None:
        peer.declare()
        peer.consume()
        peer.send(
            publish_frames(1, "", "q", b"m")
            + method_frame(
                1, commands.Basic.Consume(queue="q", consumer_tag="u", arguments={"x-priority": 1})
            )
        )
        delivery, answer = peer.receive_all()
        assert (delivery.command.consumer_tag, answer.name) == ("t", "Basic.ConsumeOk")

    def test_declare(self, peer: AmqpPeer) -> None:
        peer.declare()
        peer.consume()
        peer.send(
            publish_frames(1, "", "q", b"m")
            + method_frame(1, commands.Queue.Declare(queue="q", passive=True))
        )
        _, answer = peer.receive_all()
        assert (answer.name, answer.command.message_count) == ("Queue.DeclareOk", 0)


class TestOneLimitForTheChannel:
    @pytest.fixture
    def peer(self, broker: AmqpBroker) -> AmqpPeer:
        peer = broker.connect()
        for name in ("q", "r", "s"):
            peer.declare(name)
        peer.call(commands.Basic.Qos(prefetch_count=1, global_=True))
        return peer

    def test_each_queue_has_its_turn(self, peer: AmqpPeer) -> None:
        for name in ("q", "r", "s"):
            for _ in range(4):
                peer.publish(name)
            peer.consume(name, name)
        served = []
        for tag in range(1, 7):
            peer.ack(tag)
            served += tags(peer)
        assert served == ["r", "s", "q", "r", "s", "q"]

    def test_who_never_acknowledges_waits_as_well(self, peer: AmqpPeer) -> None:
        peer.publish("q")
        assert len(peer.consume("q", "q")) == 1
        assert not peer.consume("r", "r", no_ack=True)
        peer.send(publish_frames(1, "", "r", b"") * 2)
        assert tags(peer) == []
        peer.ack(1)
        assert tags(peer) == ["r", "r"]
