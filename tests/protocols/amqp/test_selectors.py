"""A consumer with the argument x-rosetta-selector."""

from __future__ import annotations

from pathlib import Path

import pytest
from pamqp import commands

from protocols.amqp.codec import encode_properties
from tests.support.amqp_peer import AmqpBroker, AmqpPeer


@pytest.fixture
def peer(tmp_path: Path) -> AmqpPeer:
    return AmqpBroker(tmp_path).connect()


def test_a_selector_of_a_consumer(peer: AmqpPeer) -> None:
    peer.declare()
    peer.consume(tag="high", arguments={"x-rosetta-selector": "level > 5 AND JMSPriority >= 4"})
    for level in (3, 6, 9):
        properties = encode_properties({"headers": {"level": level}, "priority": level})
        peer.publish("q", b"%d" % level, properties)
    deliveries = peer.deliveries()
    assert [each.body for each in deliveries] == [b"6", b"9"]
    assert [each.body for each in peer.consume(tag="all")] == [b"3"]
    assert not peer.receive_all()
    peer.method(1, commands.Basic.Nack(deliveries[0].command.delivery_tag, requeue=True))
    (again,) = peer.deliveries()
    assert (again.command.consumer_tag, again.command.redelivered) == ("high", True)


def test_a_selector_that_is_refused(peer: AmqpPeer) -> None:
    peer.declare()
    consume = commands.Basic.Consume(queue="q", arguments={"x-rosetta-selector": "a >"})
    assert peer.fail(consume) == (
        "Channel.Close",
        406,
        "PRECONDITION_FAILED - invalid arg 'x-rosetta-selector' for queue 'q' in vhost '/':"
        " expected a value, but the selector ends at character 4",
    )
