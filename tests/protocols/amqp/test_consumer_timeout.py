from pathlib import Path

import pytest
from pamqp import commands

from protocols.amqp.front_end import AmqpConfig
from tests.support.amqp_peer import AmqpBroker, AmqpPeer

TIMED_OUT = (
    "Channel.Close",
    406,
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used:"
    " 300000 ms. This timeout value can be configured, see consumers doc guide to learn more",
)


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path, AmqpConfig(consumer_timeout_ms=300_000))


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare()
    for number in range(3):
        peer.publish("q", b"%d" % number)
    return peer


def wait(broker: AmqpBroker, seconds: int) -> None:
    broker.clock.pump([1.0] * seconds)


@pytest.mark.parametrize("how", ["consume", "get"])
def test_a_channel_that_keeps_a_delivery_is_closed(
    broker: AmqpBroker, peer: AmqpPeer, how: str
) -> None:
    if how == "consume":
        assert len(peer.consume()) == 3
    else:
        assert peer.get().body == b"0"
    wait(broker, 299)
    assert peer.receive_all() == []
    wait(broker, 62)
    assert peer.failure() == TIMED_OUT
    assert broker.virtual_host.queues["q"].ready_count == 3
    wait(broker, 1000)
    assert peer.receive_all() == []


def test_only_the_oldest_counts(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.consume()
    for tag in range(1, 10):
        wait(broker, 100)
        peer.publish("q", b"next")
        peer.ack(tag)
        assert len(peer.deliveries()) == 1
    wait(broker, 362)
    assert peer.failure() == TIMED_OUT


def test_what_is_acknowledged_in_time_is_nobodys_business(
    broker: AmqpBroker, peer: AmqpPeer
) -> None:
    peer.consume()
    peer.consume(tag="automatic", no_ack=True)
    peer.ack(0, multiple=True)
    peer.publish("q", b"next")
    wait(broker, 250)
    assert {each.name for each in peer.receive_all()} == {"Basic.Deliver"}
    peer.ack(0, multiple=True)
    wait(broker, 1000)
    assert peer.receive_all() == []


def test_a_rollback_begins_nothing_anew(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.call(commands.Tx.Select())
    peer.consume()
    peer.ack(1)
    wait(broker, 250)
    peer.call(commands.Tx.Rollback())
    wait(broker, 112)
    assert peer.failure() == TIMED_OUT


def test_a_peer_that_is_not_read_cannot_acknowledge(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.consume()
    peer.connection.pause_delivery()
    wait(broker, 1000)
    peer.connection.resume_delivery()
    wait(broker, 299)
    assert peer.receive_all() == []
    wait(broker, 122)
    assert peer.failure() == TIMED_OUT
