"""Queues with x-max-priority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import AmqpBroker, AmqpPeer

TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


def declare(peer: AmqpPeer, max_priority: int = 9, durable: bool = False, **more: Any) -> None:
    arguments = {name.replace("_", "-"): value for name, value in more.items()}
    peer.declare(durable=durable, arguments={"x-max-priority": max_priority, **arguments})


def priority(level: int | None, **more: Any) -> bytes:
    return encode_properties({"priority": level, **more})


def publish(peer: AmqpPeer, *messages: str, queue: str = "q", **more: Any) -> None:
    """Messages whose first character is their priority, if it is a digit."""
    for body in messages:
        level = int(body[0]) if body[0].isdigit() else None
        peer.publish(queue, body.encode(), priority(level, **more))


def drain(peer: AmqpPeer, queue: str = "q") -> list[str]:
    bodies = []
    while (got := peer.get(queue, no_ack=True)).name == "Basic.GetOk":
        bodies.append(got.body.decode())
    return bodies


def count(peer: AmqpPeer, queue: str = "q") -> int:
    declared = peer.call(commands.Queue.Declare(queue=queue, passive=True))
    return int(declared.message_count)


def test_the_highest_comes_first_and_equals_in_order(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer)
    publish(peer, "1a", "5a", "none", "1b", "9a", "0a", "5b")
    assert count(peer) == 7
    assert drain(peer) == ["9a", "5a", "5b", "1a", "1b", "none", "0a"]


def test_what_is_above_the_highest_is_the_highest(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, max_priority=3)
    publish(peer, "2a", "3a", "9a", "3b")
    assert drain(peer) == ["3a", "9a", "3b", "2a"]


def test_without_the_argument_the_property_means_nothing(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare()
    publish(peer, "1a", "9a", "5a")
    assert drain(peer) == ["1a", "9a", "5a"]


def test_many_in_one_read(broker: AmqpBroker) -> None:
    """The hot path tells priorities apart as the general one does."""
    peer = broker.connect()
    declare(peer, durable=True)
    peer.call(commands.Confirm.Select())
    publish(peer, "1-", "7-", "4-", delivery_mode=2)
    peer.receive_all()
    octets, peer.send = bytearray(), peer.send
    sent = peer.send
    peer.send = octets.extend  # type: ignore[method-assign, assignment]
    publish(peer, *("1-", "7-", "7-", "4-") * 50, delivery_mode=2)
    peer.send = sent  # type: ignore[method-assign]
    peer.send(bytes(octets))
    confirmed = peer.receive_all()
    assert confirmed[-1].command.delivery_tag == 203
    assert drain(peer) == ["7-"] * 101 + ["4-"] * 51 + ["1-"] * 51


def test_a_consumer_with_prefetch_gets_the_most_urgent_next(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer)
    peer.call(commands.Basic.Qos(prefetch_count=1))
    assert not peer.consume()
    publish(peer, "1a", "2a", "9a")
    assert peer.bodies() == [b"1a"]
    peer.ack(1)
    assert peer.bodies() == [b"9a"]
    peer.ack(2)
    assert peer.bodies() == [b"2a"]


def test_several_consumers_take_turns_by_priority(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer)
    publish(peer, "1a", "2a", "3a", "4a")
    peer.call(commands.Basic.Qos(prefetch_count=2))
    assert [each.body for each in peer.consume(tag="s")] == [b"4a", b"3a"]
    assert [each.body for each in peer.consume(tag="t")] == [b"2a", b"1a"]
    publish(peer, "1b", "5b")
    assert peer.bodies() == []
    peer.ack(1)
    assert [(each.command.consumer_tag, each.body) for each in peer.deliveries()] == [("s", b"5b")]
    peer.ack(4)
    assert [(each.command.consumer_tag, each.body) for each in peer.deliveries()] == [("t", b"1b")]


def test_a_single_active_consumer_gets_all_by_priority(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, x_single_active_consumer=True)
    publish(peer, "1a", "2a")
    assert [each.body for each in peer.consume(tag="s", no_ack=True)] == [b"2a", b"1a"]
    assert not peer.consume(tag="t", no_ack=True)
    publish(peer, "3a")
    assert [each.command.consumer_tag for each in peer.deliveries()] == ["s"]


def test_what_is_given_back_is_at_its_old_place(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer)
    publish(peer, "1a", "1b", "5a", "5b")
    tags = [peer.get().command.delivery_tag for _ in range(3)]
    for tag in tags[::-1]:
        peer.method(1, commands.Basic.Nack(delivery_tag=tag))
    publish(peer, "5c", "7a")
    got = [peer.get() for _ in range(6)]
    assert [(each.body, each.command.redelivered) for each in got] == [
        (b"7a", False),
        (b"5a", True),
        (b"5b", True),
        (b"5c", False),
        (b"1a", True),
        (b"1b", False),
    ]
    peer.call(commands.Basic.Recover(requeue=True))
    assert drain(peer) == ["7a", "5a", "5b", "5c", "1a", "1b"]


def test_of_too_many_the_most_urgent_go(broker: AmqpBroker) -> None:
    """RabbitMQ drops from the head, whatever is there."""
    peer = broker.connect()
    peer.declare("dead")
    declare(peer, x_max_length=2, **TO_DEAD)
    publish(peer, "1a", "5a", "1b", "0a")
    assert drain(peer) == ["1b", "0a"]
    assert drain(peer, "dead") == ["5a", "1a"]


def test_a_full_queue_refuses_any_priority(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, x_max_length=2, x_overflow="reject-publish")
    peer.call(commands.Confirm.Select())
    publish(peer, "1a", "2a", "9a")
    assert [each.name for each in peer.receive_all()] == ["Basic.Ack", "Basic.Ack", "Basic.Nack"]
    assert drain(peer) == ["2a", "1a"]


def test_only_so_many_bytes_of_all_priorities(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, durable=True, x_max_length_bytes=5)
    publish(peer, "1a", "3a", "2", delivery_mode=2)
    broker.restart()
    peer = broker.connect()
    publish(peer, "1b", delivery_mode=2)
    assert drain(peer) == ["2", "1a", "1b"], "3a went"


def test_only_the_head_of_the_highest_expires(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead")
    declare(peer, **TO_DEAD)
    publish(peer, "5a")
    publish(peer, "1a", "2a", expiration="100")
    publish(peer, "9a", expiration="100")
    broker.clock.advance(0.2)
    assert count(peer) == 3
    assert drain(peer, "dead") == ["9a"]
    assert drain(peer) == ["5a"]
    got = [peer.get("dead", no_ack=True) for _ in range(2)]
    assert [each.body for each in got] == [b"2a", b"1a"]
    properties = decode_properties(got[0].properties)
    assert properties["priority"] == 2
    assert properties["headers"]["x-death"][0]["reason"] == "expired"


def test_a_dead_letter_keeps_its_priority(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead", arguments={"x-max-priority": 5})
    declare(peer, **TO_DEAD)
    publish(peer, "1a", "5a", "2a")
    peer.publish("dead", b"3", priority(3))
    for _ in range(3):
        tag = peer.get().command.delivery_tag
        peer.method(1, commands.Basic.Reject(delivery_tag=tag, requeue=False))
    assert drain(peer, "dead") == ["5a", "3", "2a", "1a"]


def test_purge_and_delete_count_all_priorities(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer)
    publish(peer, "1a", "2a", "3a")
    got = peer.get()
    assert peer.call(commands.Queue.Purge(queue="q")).message_count == 2
    peer.method(1, commands.Basic.Nack(delivery_tag=got.command.delivery_tag))
    publish(peer, "1b")
    assert peer.call(commands.Queue.Delete(queue="q")).message_count == 2
    declare(peer)
    assert count(peer) == 0


def test_a_transaction(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, durable=True)
    peer.call(commands.Tx.Select())
    publish(peer, "1a", "9a", "5a", delivery_mode=2)
    assert count(peer) == 0
    peer.call(commands.Tx.Commit())
    peer.open_channel(2)
    got = [peer.get(channel=2).body for _ in range(3)]
    assert got == [b"9a", b"5a", b"1a"]


def test_through_an_exchange_to_queues_with_and_without(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer)
    peer.declare("plain")
    for queue in ("q", "plain"):
        peer.call(commands.Queue.Bind(queue=queue, exchange="amq.fanout"))
    for body in (b"1", b"3", b"2"):
        peer.publish("", body, priority(int(body)), exchange="amq.fanout")
    assert drain(peer) == ["3", "2", "1"]
    assert drain(peer, "plain") == ["1", "3", "2"]


def test_a_queue_that_gets_priorities_only_later(broker: AmqpBroker) -> None:
    """What was resolved for a queue of that name is not used for the next one."""
    peer = broker.connect()
    peer.declare()
    publish(peer, "1a", "2a")
    peer.call(commands.Queue.Delete(queue="q"))
    declare(peer)
    publish(peer, "1a", "2a")
    assert drain(peer) == ["2a", "1a"]


def test_all_is_there_after_a_restart(broker: AmqpBroker) -> None:
    peer = broker.connect()
    declare(peer, durable=True)
    publish(peer, "1a", "5a", "9a", "5b", delivery_mode=2)
    publish(peer, "8t", delivery_mode=1)
    peer.ack(peer.get().command.delivery_tag)
    peer.get()
    broker.restart()
    peer = broker.connect()
    declare(peer, durable=True)
    publish(peer, "5c", "7a", "none", delivery_mode=2)
    got = [peer.get() for _ in range(6)]
    assert [(each.body, each.command.redelivered) for each in got] == [
        (b"7a", False),
        (b"5a", False),
        (b"5b", False),
        (b"5c", False),
        (b"1a", False),
        (b"none", False),
    ]


@pytest.mark.parametrize("current", [None, 3])
def test_it_cannot_be_changed(broker: AmqpBroker, current: int | None) -> None:
    peer = broker.connect()
    peer.declare(arguments={} if current is None else {"x-max-priority": current})
    wanted = commands.Queue.Declare(queue="q", arguments={"x-max-priority": 5})
    kind, code, text = peer.fail(wanted)
    assert (kind, code) == ("Channel.Close", 406)
    assert "inequivalent arg 'x-max-priority' for queue 'q'" in text
