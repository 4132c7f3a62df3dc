"""Streams over the wire, as RabbitMQ shows them."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands

from gateway.values import Long
from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import TRANSIENT, AmqpBroker, AmqpPeer, Received

STREAM = {"x-queue-type": "stream"}
NAME = "queue 's' in vhost '/'"


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("s", durable=True, arguments=STREAM)
    return peer


def qos(peer: AmqpPeer, count: int, **options: Any) -> None:
    peer.call(commands.Basic.Qos(prefetch_count=count, **options))


def read(peer: AmqpPeer, tag: str, **arguments: Any) -> list[Received]:
    arguments = {f"x-stream-{name}": value for name, value in arguments.items()}
    return peer.consume("s", tag, arguments=arguments)


def shown(deliveries: list[Received]) -> list[tuple[int, bytes]]:
    return [
        (decode_properties(each.properties)["headers"]["x-stream-offset"], each.body)
        for each in deliveries
    ]


def test_a_delivery_shows_its_offset_and_where_it_was_published(peer: AmqpPeer) -> None:
    peer.call(commands.Queue.Bind(queue="s", exchange="amq.topic", routing_key="#"))
    raw = encode_properties({"content_type": "t", "headers": {"n": Long(5)}, "delivery_mode": 1})
    peer.publish("a.b", b"body", raw, exchange="amq.topic")
    qos(peer, 10)
    (delivery,) = read(peer, "t", offset="first")
    command = delivery.command
    assert (command.exchange, command.routing_key, command.redelivered) == (
        "amq.topic",
        "a.b",
        False,
    )
    assert decode_properties(delivery.properties) == {
        "content_type": "t",
        "headers": {"n": 5, "x-stream-offset": 0},
        "delivery_mode": 1,
    }
    assert b"\x0fx-stream-offsetl" + bytes(8) in delivery.properties


def test_acknowledgements_of_any_kind_give_credit(peer: AmqpPeer) -> None:
    for number in range(9):
        peer.publish("s", b"%d" % number, TRANSIENT)
    qos(peer, 2)
    assert shown(read(peer, "a", offset="first")) == [(0, b"0"), (1, b"1")]
    peer.ack(1)
    assert shown(peer.deliveries()) == [(2, b"2")]
    peer.method(1, commands.Basic.Nack(delivery_tag=2, requeue=True))
    assert shown(peer.deliveries()) == [(3, b"3")]
    peer.method(1, commands.Basic.Reject(delivery_tag=3, requeue=False))
    assert shown(peer.deliveries()) == [(4, b"4")]
    assert shown(read(peer, "b", offset=7)) == [(7, b"7"), (8, b"8")]
    peer.ack(0, multiple=True)
    assert shown(peer.deliveries()) == [(5, b"5"), (6, b"6")]
    assert peer.declare("s", passive=True).message_count == 9


def test_prefetch_counts_while_the_stream_grows(peer: AmqpPeer) -> None:
    qos(peer, 2)
    assert read(peer, "a") == []
    for number in range(5):
        peer.publish("s", b"%d" % number)
    assert shown(peer.deliveries()) == [(0, b"0"), (1, b"1")]
    peer.ack(2, multiple=True)
    assert shown(peer.deliveries()) == [(2, b"2"), (3, b"3")]
    peer.call(commands.Basic.Cancel(consumer_tag="a"))
    peer.ack(4, multiple=True)
    assert peer.deliveries() == []


def test_large_messages_come_in_frames(peer: AmqpPeer) -> None:
    peer.publish("s", bytes(300_000))
    peer.publish("s", b"")
    qos(peer, 10)
    large, empty = read(peer, "a", offset="first")
    assert shown([large, empty]) == [(0, bytes(300_000)), (1, b"")]


def test_filters(peer: AmqpPeer) -> None:
    for number in range(6):
        headers = {"x-stream-filter-value": "ab"[number % 2]} if number < 4 else {}
        peer.publish("s", b"%d" % number, encode_properties({"headers": headers}))
    qos(peer, 10)
    deliveries = read(peer, "a", offset="first", filter=["b"], **{"match-unfiltered": True})
    assert [body for _, body in shown(deliveries)] == [b"1", b"3", b"4", b"5"]


def test_what_cannot_be_consumed(peer: AmqpPeer) -> None:
    consume = commands.Basic.Consume(queue="s", consumer_tag="t")
    text = f"PRECONDITION_FAILED - consumer prefetch count is not set for stream {NAME}"
    assert peer.fail(consume) == ("Channel.Close", 406, text)
    qos(peer, 1)
    consume.arguments = {"x-stream-offset": "foo"}
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for {NAME}:"
        ' {invalid_stream_offset_arg,{longstr,<<"foo">>}}'
    )
    assert peer.fail(consume) == ("Channel.Close", 406, text)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            commands.Basic.Consume(queue="s", no_ack=True),
            f"automatic acknowledgement not supported by stream {NAME}",
        ),
        (commands.Basic.Get(queue="s"), f"basic.get not supported by stream queues {NAME}"),
        (commands.Queue.Purge(queue="s"), f"queue.purge not supported by stream queues {NAME}"),
    ],
)
def test_what_a_stream_has_not_closes_the_connection(
    peer: AmqpPeer, command: Any, text: str
) -> None:
    qos(peer, 1)
    assert peer.fail(command) == ("Connection.Close", 540, f"NOT_IMPLEMENTED - {text}")


def test_global_qos_closes_the_connection(peer: AmqpPeer) -> None:
    qos(peer, 1)
    qos(peer, 1, global_=True)
    assert peer.fail(commands.Basic.Consume(queue="s")) == (
        "Connection.Close",
        540,
        f"NOT_IMPLEMENTED - {NAME} does not support global qos",
    )


def test_transient_messages_are_confirmed_when_they_are_kept(
    broker: AmqpBroker, peer: AmqpPeer
) -> None:
    peer.call(commands.Confirm.Select())
    broker.disk.held = True
    peer.publish("s", b"x", TRANSIENT)
    assert peer.receive_all() == []
    broker.disk.release()
    assert peer.receive().name == "Basic.Ack"


def test_a_stream_survives_a_restart(broker: AmqpBroker, peer: AmqpPeer) -> None:
    for number in range(3):
        peer.publish("s", b"%d" % number, TRANSIENT)
    peer.lose()
    broker.restart()
    peer = broker.connect()
    qos(peer, 10)
    assert shown(read(peer, "t", offset=1)) == [(1, b"1"), (2, b"2")]


def test_a_deleted_stream_cancels_its_consumers(peer: AmqpPeer) -> None:
    qos(peer, 1)
    read(peer, "t")
    peer.method(1, commands.Queue.Delete(queue="s", if_unused=True))
    assert [each.name for each in peer.receive_all()] == ["Queue.DeleteOk", "Basic.Cancel"]
