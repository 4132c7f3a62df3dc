"""What the comparison with a real RabbitMQ (`tests/differential`) has found."""

from typing import Any

import pytest
from pamqp import commands

from tests.support.amqp_peer import AmqpBroker, AmqpPeer

Basic, Exchange, Queue = commands.Basic, commands.Exchange, commands.Queue


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    return broker.connect()


def qos(count: int, shared: bool) -> Any:
    return Basic.Qos(prefetch_count=count, global_=shared)


def test_a_prefetch_per_consumer_lifts_the_shared_one(peer: AmqpPeer) -> None:
    peer.declare("q")
    peer.call(qos(1, True))
    peer.consume("q", "tag")
    for body in (b"a", b"b", b"c"):
        peer.publish("q", body)
    assert peer.bodies() == [b"a"]
    peer.method(1, qos(5, False))
    answer, *deliveries = peer.receive_all()
    assert answer.name == "Basic.QosOk"
    assert [delivery.body for delivery in deliveries] == [b"b", b"c"]


def test_a_used_tag_is_refused_before_the_queue_is_looked_for(peer: AmqpPeer) -> None:
    peer.declare("q")
    peer.consume("q", "tag")
    refusal = peer.fail(Basic.Consume(queue="none", consumer_tag="tag"))
    assert refusal[1:] == (530, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'")


def test_a_queue_named_by_the_server_cannot_be_declared_again(peer: AmqpPeer) -> None:
    name = peer.declare("").queue
    assert peer.fail(Queue.Declare(queue=name)) == (
        "Channel.Close",
        403,
        f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'",
    )


def test_unbinding_what_is_not_bound_asks_for_no_right_to_the_queue(broker: AmqpBroker) -> None:
    owner, other = broker.connect(), broker.connect()
    owner.declare("q", exclusive=True)
    unbind = Queue.Unbind(queue="q", exchange="amq.direct", routing_key="key")
    assert isinstance(other.call(unbind), Queue.UnbindOk)
    owner.call(Queue.Bind(queue="q", exchange="amq.direct", routing_key="key"))
    assert other.fail(unbind)[1] == 405


def test_the_default_exchange_is_refused_as_a_destination_before_the_source(
    peer: AmqpPeer,
) -> None:
    refusal = peer.fail(Exchange.Bind(destination="", source="none"))
    assert refusal[1:] == (403, "ACCESS_REFUSED - operation not permitted on the default exchange")


def test_the_type_of_a_plugin_has_quotes_of_its_own(peer: AmqpPeer) -> None:
    peer.call(Exchange.Declare(exchange="x"))
    assert peer.fail(Exchange.Declare(exchange="x", exchange_type="x-random"))[2] == (
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/':"
        " received ''x-random'' but current is 'direct'"
    )


def test_an_x_match_that_is_no_text(peer: AmqpPeer) -> None:
    peer.declare("q")
    refusal = peer.fail(Queue.Bind(queue="q", exchange="amq.match", arguments={"x-match": 1}))
    assert refusal[2] == (
        "PRECONDITION_FAILED - Invalid x-match field type signedint (value 1); expected longstr"
    )


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x03\0\x01\0\0\0\x03abc\xce", '<<"abc">>'),
        (b"\x03\0\x01\0\0\0\x02a\0\xce", "<<97,0>>"),
    ],
)
def test_octets_are_shown_as_erlang_shows_them(peer: AmqpPeer, octets: bytes, text: str) -> None:
    peer.send(b"\x03\0\0" + octets[3:])
    assert peer.failure()[2] == f"UNEXPECTED_FRAME - type 3, all octets = {text}"


def test_arguments_that_are_cut_short_are_shown_without_the_method(peer: AmqpPeer) -> None:
    peer.send(b"\x01\0\x01\0\0\0\x06\0\x3c\0\x0a\0\0\xce")
    assert peer.failure()[2] == "FRAME_ERROR - cannot decode <<0,0>>"


def test_a_method_on_channel_0_is_named_in_the_refusal(peer: AmqpPeer) -> None:
    peer.method(0, qos(1, False))
    close = peer.receive().command
    assert (close.class_id, close.method_id) == (60, 10)


class TestWhoIsNext:
    """Consumers take turns; who comes, or had no credit, gets in line at its end."""

    def test_a_new_consumer_waits_for_those_before_it(self, peer: AmqpPeer) -> None:
        peer.declare("q")
        peer.consume("q", "first")
        peer.consume("q", "second")
        for _ in range(3):
            peer.publish("q", b"")
        assert consumers(peer) == ["first", "second", "first"]
        peer.consume("q", "third")
        for _ in range(3):
            peer.publish("q", b"")
        assert consumers(peer) == ["second", "first", "third"]

    def test_whoever_had_no_credit_is_last_when_it_has(self, peer: AmqpPeer) -> None:
        peer.declare("q")
        peer.call(qos(1, False))
        peer.consume("q", "slow")
        peer.call(qos(0, False))
        peer.consume("q", "second")
        peer.consume("q", "third")
        for _ in range(4):
            peer.publish("q", b"")
        deliveries = peer.deliveries()
        assert tags(deliveries) == ["slow", "second", "third", "second"]
        peer.ack(deliveries[0].command.delivery_tag)
        for _ in range(3):
            peer.publish("q", b"")
        assert consumers(peer) == ["third", "second", "slow"]


def tags(deliveries: list[Any]) -> list[str]:
    return [each.command.consumer_tag for each in deliveries]


def consumers(peer: AmqpPeer) -> list[str]:
    """Who got what was delivered since the last time."""
    return tags(peer.deliveries())
