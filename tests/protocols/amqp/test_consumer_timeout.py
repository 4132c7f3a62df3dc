from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pamqp import commands

from gateway.policies.policies import Policy
from protocols.amqp.config import AmqpConfig
from protocols.amqp.consumer_timeouts import DeliveryMarks
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


def limit(broker: AmqpBroker, pattern: str, timeout_ms: int) -> None:
    policy = Policy("slow", pattern, {"consumer-timeout": timeout_ms})
    broker.virtual_host.policies.put("policy", policy)


def test_a_policy_may_be_stricter(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.consume()
    limit(broker, "q", 120_000)
    wait(broker, 119)
    assert peer.receive_all() == []
    wait(broker, 122)
    code, text = peer.failure()[1:]
    assert code == 406
    assert "Timeout value used: 120000 ms" in text


def test_a_policy_is_heeded_without_a_default_one_too(tmp_path: Path) -> None:
    broker = AmqpBroker(tmp_path, AmqpConfig())
    peer = broker.connect()
    for queue in ("patient", "q"):
        peer.declare(queue)
        peer.publish(queue, b"")
        peer.consume(queue, queue)
    limit(broker, "^q$", 120_000)
    peer.ack(2)  # Of `q`.
    wait(broker, 1000)
    assert peer.receive_all() == []
    peer.publish("q", b"")
    assert len(peer.deliveries()) == 1
    wait(broker, 242)
    assert peer.failure()[1] == 406


def test_a_quorum_queues_argument(tmp_path: Path) -> None:
    broker = AmqpBroker(tmp_path, AmqpConfig())
    peer = broker.connect()
    peer.declare(durable=True, arguments={"x-queue-type": "quorum", "x-consumer-timeout": 120_000})
    peer.publish("q", b"")
    peer.consume()
    wait(broker, 242)
    assert peer.failure()[1] == 406


def test_marks_know_since_when_each_delivery_is_out() -> None:
    def holder(timeout_ms: int | None) -> Any:
        options = SimpleNamespace(consumer_timeout_ms=timeout_ms)
        return SimpleNamespace(queue=SimpleNamespace(options=options)), 0

    marks = DeliveryMarks()
    outstanding = {1: holder(None)}
    marks.note(outstanding, 1, 100.0)
    outstanding[2] = holder(30_000)
    marks.note(outstanding, 2, 160.0)
    outstanding[3] = holder(1)  # After the last look: nobody knows since when.
    assert marks.exceeded_ms(outstanding, 0, 189.0) is None
    assert marks.exceeded_ms(outstanding, 0, 190.0) == 30_000
    assert marks.exceeded_ms(outstanding, 80_000, 180.0) == 80_000
    del outstanding[1]
    assert marks.exceeded_ms(outstanding, 80_000, 180.0) is None
    assert marks.exceeded_ms(outstanding, 20_000, 180.0) == 20_000
