"""Queues that hold only so much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from core.consume_queue import RUN_WIDTH
from protocols.amqp.codec import decode_properties
from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer, Received

REFUSING = {"x-overflow": "reject-publish"}
TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


def length(maximum: int) -> dict[str, Any]:
    return {"x-max-length": maximum}


def confirms(received: list[Received]) -> list[tuple[str, int, bool]]:
    return [
        (each.name, each.command.delivery_tag, each.command.multiple)
        for each in received
        if each.name in ("Basic.Ack", "Basic.Nack")
    ]


def select(peer: AmqpPeer) -> None:
    peer.call(commands.Confirm.Select())


def drain(peer: AmqpPeer, queue: str = "q") -> list[bytes]:
    bodies = []
    while (got := peer.get(queue, no_ack=True)).name == "Basic.GetOk":
        bodies.append(got.body)
    return bodies


def test_the_oldest_goes(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead")
    peer.declare(arguments={**length(3), **TO_DEAD})
    for number in range(5):
        peer.publish("q", b"%d" % number)
    first = peer.get("dead")
    (event,) = decode_properties(first.properties)["headers"]["x-death"]
    assert (first.body, event["reason"]) == (b"0", "maxlen")
    assert drain(peer, "dead") == [b"1"]
    assert drain(peer) == [b"2", b"3", b"4"]


def test_only_what_is_ready_counts(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=length(1))
    peer.publish("q", b"0")
    got = peer.get()
    peer.publish("q", b"1")
    queue = broker.virtual_host.queues["q"]
    assert (queue.ready_count, queue.unsettled_count) == (1, 1)
    # Back at its place it is the oldest, and one too many.
    peer.method(1, commands.Basic.Nack(delivery_tag=got.command.delivery_tag))
    assert drain(peer) == [b"1"]


def test_a_length_of_nothing_is_for_waiting_consumers(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments=length(0))
    peer.publish("q", b"nobody waits")
    assert broker.virtual_host.queues["q"].ready_count == 0
    peer.consume(no_ack=True)
    for number in range(3):
        peer.publish("q", b"%d" % number)
    assert peer.bodies() == [b"0", b"1", b"2"]


def test_the_size_of_bodies_counts(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={"x-max-length-bytes": 10})
    for body in (b"1234", b"567", b"890", b"a"):
        peer.publish("q", body)
    assert drain(peer) == [b"567", b"890", b"a"]
    peer.publish("q", b"larger than that")
    assert drain(peer) == []
    peer.publish("q", b"12345")
    got = peer.get()
    peer.publish("q", b"123456")
    peer.method(1, commands.Basic.Nack(delivery_tag=got.command.delivery_tag))
    assert drain(peer) == [b"123456"]
    peer.publish("q", b"123456")
    peer.call(commands.Queue.Purge(queue="q"))
    peer.publish("q", b"1234567890")
    assert drain(peer) == [b"1234567890"]


def test_size_after_a_restart(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(durable=True, arguments={"x-max-length-bytes": 10})
    for body in (b"123", b"456", b"789"):
        peer.publish("q", body, PERSISTENT)
    got = [peer.get() for _ in range(2)]
    peer.ack(got[1].command.delivery_tag)
    peer.lose()
    broker.restart()
    peer = broker.connect()
    peer.publish("q", b"abcd", PERSISTENT)
    assert broker.virtual_host.queues["q"].ready_count == 3
    peer.publish("q", b"e", PERSISTENT)
    assert drain(peer) == [b"789", b"abcd", b"e"]


def test_a_full_queue_refuses(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={**length(2), **REFUSING})
    select(peer)
    for number in range(4):
        peer.publish("q", b"%d" % number)
    assert confirms(peer.receive_all()) == [
        ("Basic.Ack", 1, False),
        ("Basic.Ack", 2, False),
        ("Basic.Nack", 3, False),
        ("Basic.Nack", 4, False),
    ]
    assert drain(peer) == [b"0", b"1"]
    peer.publish("q", b"again")
    assert confirms(peer.receive_all()) == [("Basic.Ack", 5, False)]


def test_one_read_is_refused_message_by_message(broker: AmqpBroker) -> None:
    """No acknowledgement of many reaches over one that is refused."""
    peer = broker.connect()
    peer.declare(durable=True, arguments={**length(2), **REFUSING})
    peer.declare("free", durable=True)
    select(peer)
    broker.disk.held = True
    for key in ("q", "q", "q", "free", "q", "free", "free"):
        peer.publish(key, b"m", PERSISTENT)
    assert peer.receive_all() == []
    broker.disk.release()
    assert confirms(peer.receive_all())[-1][1] == 7
    queues = broker.virtual_host.queues
    assert (queues["q"].ready_count, queues["free"].ready_count) == (2, 3)


def test_the_other_queues_keep_their_copies(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={**length(1), **REFUSING})
    peer.declare("free")
    for queue in ("q", "free"):
        peer.call(commands.Queue.Bind(queue=queue, exchange="amq.fanout"))
    select(peer)
    for _ in range(2):
        peer.publish("", b"m", exchange="amq.fanout")
    assert [name for name, _, _ in confirms(peer.receive_all())] == ["Basic.Ack", "Basic.Nack"]
    queues = broker.virtual_host.queues
    assert (queues["q"].ready_count, queues["free"].ready_count) == (1, 2)


def test_consumers_make_room_within_one_read(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={**length(1), **REFUSING})
    peer.consume(no_ack=True)
    select(peer)
    for number in range(5):
        peer.publish("q", b"%d" % number)
    received = peer.receive_all()
    assert {each.name for each in received} == {"Basic.Ack", "Basic.Deliver"}
    assert len([each for each in received if each.name == "Basic.Deliver"]) == 5


def test_what_is_refused_may_be_a_dead_letter(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("dead")
    peer.declare(arguments={**length(1), **TO_DEAD, "x-overflow": "reject-publish-dlx"})
    select(peer)
    peer.publish("q", b"0")
    peer.publish("q", b"1")
    assert [name for name, _, _ in confirms(peer.receive_all())] == ["Basic.Ack", "Basic.Nack"]
    assert drain(peer, "dead") == [b"1"]
    assert drain(peer) == [b"0"]


def test_a_transaction_that_is_refused_in_part(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={**length(1), **REFUSING})
    peer.call(commands.Tx.Select())
    peer.publish("q", b"0")
    peer.publish("q", b"1")
    assert peer.fail(commands.Tx.Commit()) == (
        "Channel.Close",
        406,
        "PRECONDITION_FAILED - partial tx completion",
    )
    assert drain(peer) == [b"0"]


def in_transaction(peer: AmqpPeer, bodies: list[bytes], exchange: str = "") -> str:
    """Publish these in one transaction; the name of the answer, or the text of the refusal."""
    peer.call(commands.Tx.Select())
    for body in bodies:
        peer.publish("q", body, PERSISTENT, exchange=exchange)
    peer.method(1, commands.Tx.Commit())
    (answer,) = peer.receive_all()
    if answer.name == "Tx.CommitOk":
        return answer.name
    peer.method(1, commands.Channel.CloseOk())
    peer.open_channel(1)
    return answer.failure[2]


def records(broker: AmqpBroker, *queues: str) -> int:
    """In how many records of the log the messages of these queues are."""
    found = [broker.virtual_host.queues[name].light.lanes[0] for name in queues]
    return len({log_offset for light in found for log_offset in light.index.runs[1::RUN_WIDTH]})


class TestTransactions:
    """What RabbitMQ 3.10.8 keeps and says, but as one record of the log."""

    PARTIAL = "PRECONDITION_FAILED - partial tx completion"

    @pytest.fixture
    def peer(self, broker: AmqpBroker) -> AmqpPeer:
        peer = broker.connect()
        peer.declare("dead", durable=True)
        peer.declare("other", durable=True)
        peer.call(commands.Queue.Bind(queue="other", exchange="amq.fanout", routing_key=""))
        return peer

    def declare(self, peer: AmqpPeer, **more: Any) -> None:
        arguments = REFUSING | {name.replace("_", "-"): value for name, value in more.items()}
        peer.declare(durable=True, arguments=arguments)
        peer.call(commands.Queue.Bind(queue="q", exchange="amq.fanout", routing_key=""))

    def test_other_queues_keep_what_one_refuses(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        self.declare(peer, x_max_length=2)
        sent = [b"%d" % number for number in range(5)]
        assert in_transaction(peer, sent, "amq.fanout") == self.PARTIAL
        assert records(broker, "q", "other") == 1
        broker.restart()
        peer = broker.connect()
        assert drain(peer) == sent[:2]
        assert drain(peer, "other") == sent

    def test_a_smaller_one_may_fit_behind_a_refused_one(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        self.declare(peer, x_max_length_bytes=10)
        assert in_transaction(peer, [b"123456", b"ABCDEF", b"1234", b""]) == self.PARTIAL
        assert records(broker, "q") == 1
        assert drain(peer) == [b"123456", b"1234", b""]

    def test_what_consumers_take_needs_no_room(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        self.declare(peer, x_max_length=1)
        consumer = broker.connect()
        consumer.call(commands.Basic.Qos(prefetch_count=3))
        consumer.consume()
        sent = [b"%d" % number for number in range(5)]
        assert in_transaction(peer, sent) == self.PARTIAL
        assert [each.body for each in consumer.receive_all()] == sent[:3]
        assert drain(peer) == sent[3:4]
        assert in_transaction(peer, [b"fits"]) == "Tx.CommitOk"

    def test_dead_letters_of_what_is_refused_are_in_the_same_record(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        self.declare(
            peer,
            x_max_length=1,
            x_overflow="reject-publish-dlx",
            x_dead_letter_exchange="",
            x_dead_letter_routing_key="dead",
        )
        assert in_transaction(peer, [b"0", b"1", b"2"]) == self.PARTIAL
        assert records(broker, "q", "dead") == 1
        broker.restart()
        peer = broker.connect()
        assert (drain(peer), drain(peer, "dead")) == ([b"0"], [b"1", b"2"])

    def test_a_dead_letter_that_is_refused_may_be_another_one(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        to_dead = {"x-dead-letter-exchange": "", "x-overflow": "reject-publish-dlx"}
        arguments = {**to_dead, "x-dead-letter-routing-key": "dead", **length(1)}
        peer.declare("full", durable=True, arguments=arguments)
        arguments["x-dead-letter-routing-key"] = "full"
        peer.declare("q", durable=True, arguments=arguments)
        assert in_transaction(peer, [b"0", b"1", b"2"]) == self.PARTIAL
        assert records(broker, "q", "full", "dead") == 1
        assert [drain(peer, name) for name in ("q", "full", "dead")] == [[b"0"], [b"1"], [b"2"]]
