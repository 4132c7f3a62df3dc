"""Messages that expire behind others, where a queue's options ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policies.policies import Policy
from protocols.amqp.codec import encode_properties
from tests.support.amqp_peer import AmqpBroker, AmqpPeer

BEHIND = {"x-expire-behind-head": True}


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


def publish(peer: AmqpPeer, body: bytes, time_ms: int | None, **more: object) -> None:
    properties = {"expiration": str(time_ms)} if time_ms is not None else {}
    peer.publish("q", body, encode_properties({**properties, "delivery_mode": 2, **more}))


def held(broker: AmqpBroker) -> list[bytes]:
    return [message[2] for _, message in broker.virtual_host.queues["q"].light.read(0, 9999)]


def ready_count(broker: AmqpBroker) -> int:
    return broker.virtual_host.queues["q"].light.ready_count


def test_they_go_in_due_time(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=BEHIND)
    for body, time_ms in ((b"a", 9000), (b"b", 1000), (b"c", None), (b"d", 2000), (b"e", 500)):
        publish(peer, body, time_ms)
    counts = []
    for _ in range(10):
        broker.clock.advance(0.3)
        counts.append(ready_count(broker))
    assert counts == [5, 4, 4, 3, 3, 3, 2, 2, 2, 2]
    assert [each.body for each in peer.consume()] == [b"a", b"c"]


def test_they_are_dead_letters(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead")
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    peer.declare(arguments={**BEHIND, **arguments})
    for body, time_ms in ((b"a", None), (b"b", 100), (b"c", 100)):
        publish(peer, body, time_ms)
    broker.clock.advance(0.2)
    assert [each.body for each in peer.consume("dead")] == [b"b", b"c"]


def test_those_in_flight_are_left_until_they_come_back(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=BEHIND)
    for body, time_ms in ((b"a", 9000), (b"b", 1000), (b"c", 1000), (b"d", 9000)):
        publish(peer, body, time_ms)
    other = broker.connect()
    got = [other.get() for _ in range(2)]
    broker.clock.advance(2)
    assert ready_count(broker) == 1
    assert [each.body for each in got] == [b"a", b"b"]
    other.lose()
    assert [each.body for each in peer.consume()] == [b"a", b"d"]


def test_a_policy_sees_to_what_is_there(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(durable=True)
    publish(peer, b"head", None)
    for number in range(3000):
        publish(peer, b"%d" % number, 1000 + number)
    broker.clock.advance(9)
    assert ready_count(broker) == 3001
    policy = Policy("p", "", {"expire-behind-head": True})
    broker.virtual_host.policies.put("policy", policy)
    broker.gateway.turn.end()
    assert ready_count(broker) > 2000, "not all in one turn"
    broker.clock.pump([0.001] * 20)
    assert held(broker)[:1] == [b"head"]
    assert ready_count(broker) == 1


def test_a_restart_forgets_none(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(durable=True, arguments=BEHIND)
    for body, time_ms in ((b"a", None), (b"b", 1000), (b"c", None)):
        publish(peer, body, time_ms)
    broker.restart()
    assert ready_count(broker) == 3
    broker.clock.advance(1.1)
    assert ready_count(broker) == 2


def test_priorities_hide_as_well(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={**BEHIND, "x-max-priority": 5})
    publish(peer, b"low", 100)
    publish(peer, b"high", None, priority=3)
    broker.clock.advance(0.2)
    assert ready_count(broker) == 1


def test_nothing_is_remembered_where_all_last_as_long(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={**BEHIND, "x-message-ttl": 1000})
    for number in range(10):
        publish(peer, b"%d" % number, None)
        broker.clock.advance(0.01)
    upkeep = broker.virtual_host.queues["q"]._upkeep
    assert upkeep is not None
    assert upkeep._hidden is not None
    assert upkeep._hidden.next_ms is None
    broker.clock.advance(1)
    assert ready_count(broker) == 0


def test_what_is_remembered_is_bounded(broker: AmqpBroker) -> None:
    """By what the queue holds, not by what goes through it behind a message that stays."""
    peer = broker.connect()
    peer.declare(arguments=BEHIND)
    publish(peer, b"stays", None)
    peer.consume()
    for _ in range(25):
        for _ in range(500):
            publish(peer, b"m", 3_600_000)
        peer.receive_all()
        broker.clock.advance(0.01)
    upkeep = broker.virtual_host.queues["q"]._upkeep
    assert upkeep is not None
    assert upkeep._hidden is not None
    assert upkeep._hidden._count <= 10_000


def test_the_argument_is_a_switch(broker: AmqpBroker) -> None:
    from pamqp import commands

    peer = broker.connect()
    failure = peer.fail(
        commands.Queue.Declare(queue="q", arguments={"x-expire-behind-head": "yes"})
    )
    assert failure[1:] == (
        406,
        "PRECONDITION_FAILED - invalid arg 'x-expire-behind-head' for queue 'q' in vhost '/':"
        " {unacceptable_type,longstr}",
    )


def test_those_in_the_line_of_a_quorum_queue_are_not_forgotten(
    broker: AmqpBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = broker.connect()
    peer.declare(durable=True, arguments={**BEHIND, "x-queue-type": "quorum"})
    for body, time_ms in ((b"a", None), (b"b", 1000), (b"c", 1000)):
        publish(peer, body, time_ms)
    other = broker.connect()
    for _ in range(3):
        other.get()
    other.lose()
    monkeypatch.setattr("gateway.queues.hidden_deadlines._SPARE_COUNT", -10)
    publish(peer, b"d", 1500)
    broker.clock.advance(1.2)
    assert ready_count(broker) == 2
