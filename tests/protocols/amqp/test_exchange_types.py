"""Exchanges of the types that RabbitMQ has as plug-ins, seen by a client."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pamqp import commands

from protocols.amqp.codec import encode_properties
from tests.support.amqp_peer import AmqpBroker, AmqpPeer

HISTORY = "x-recent-history"


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    return broker.connect()


def declare(peer: AmqpPeer, type: str, name: str = "x", **arguments: object) -> None:
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    peer.call(
        commands.Exchange.Declare(exchange=name, exchange_type=type, durable=True, arguments=named)
    )


def bind(peer: AmqpPeer, queue: str, key: str = "", exchange: str = "x") -> None:
    peer.declare(queue, durable=True)
    peer.call(commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=key))


def held(peer: AmqpPeer, queue: str) -> list[bytes]:
    """Everything in a queue, taken out of it."""
    found = peer.consume(queue, tag="held", no_ack=True)
    peer.call(commands.Basic.Cancel(consumer_tag="held"))
    return [delivery.body for delivery in found]


def test_equal_messages_are_each_a_choice_of_their_own(peer: AmqpPeer) -> None:
    """Nothing may remember where the first of them went."""
    random.seed(1)
    declare(peer, "x-random")
    for name in "ab":
        bind(peer, name)
    for _ in range(40):
        peer.publish("k", b"same", exchange="x")
    counts = [len(held(peer, name)) for name in "ab"]
    assert sum(counts) == 40
    assert min(counts) > 8


def test_a_new_binding_gets_what_was_sent_before(broker: AmqpBroker, peer: AmqpPeer) -> None:
    declare(peer, HISTORY, x_recent_history_length=3)
    for number in range(5):
        peer.publish(f"k{number}", b"%d" % number, encode_properties({"priority": 7}), exchange="x")
    unwanted = encode_properties({"headers": {"x-recent-history-no-store": True}})
    wanted = encode_properties({"headers": {"x-recent-history-no-store": "true"}})
    peer.publish("k", b"unwanted", unwanted, exchange="x")
    peer.publish("k", b"wanted", wanted, exchange="x")
    bind(peer, "q")
    (first, *_) = peer.consume("q")
    assert (first.command.exchange, first.command.routing_key) == ("x", "k3")
    assert first.command.redelivered is False
    peer.call(commands.Basic.Cancel(consumer_tag="t"))
    peer.method(1, commands.Basic.Recover(requeue=True))
    peer.receive_all()
    assert held(peer, "q") == [b"3", b"4", b"wanted"]
    bind(peer, "q")
    assert held(peer, "q") == []
    bind(peer, "q", "other key")
    assert held(peer, "q") == [b"3", b"4", b"wanted"]
    peer.publish("k", b"new", exchange="x")
    assert held(peer, "q") == [b"new"]
    broker.restart()
    peer = broker.connect()
    bind(peer, "p")
    assert held(peer, "p") == [b"4", b"wanted", b"new"]
    assert broker.virtual_host.exchanges["x"].history is not None


def test_what_is_only_kept_is_returned_if_it_is_mandatory(peer: AmqpPeer) -> None:
    """As RabbitMQ 3.10.8 has it, also through another exchange; the alternate exchange gets it."""
    declare(peer, HISTORY)
    declare(peer, "fanout", "y")
    peer.call(commands.Exchange.Bind(destination="x", source="y", routing_key=""))
    for exchange, body in (("x", b"1"), ("y", b"2")):
        peer.publish("k", body, exchange=exchange, mandatory=True)
        (returned,) = peer.receive_all()
        assert (returned.name, returned.body) == ("Basic.Return", body)
    peer.publish("k", b"nobody asks", exchange="x")
    bind(peer, "q")
    assert held(peer, "q") == [b"1", b"2", b"nobody asks"]
    peer.publish("k", b"routed", exchange="x", mandatory=True)
    assert peer.receive_all() == []


def test_what_it_keeps_goes_through_the_exchange_that_is_bound(peer: AmqpPeer) -> None:
    declare(peer, HISTORY)
    declare(peer, "topic", "y")
    bind(peer, "q", "a.*", "y")
    for key in ("a.1", "b.1", "a.2"):
        peer.publish(key, key.encode(), exchange="x")
    peer.call(commands.Exchange.Bind(destination="y", source="x", routing_key=""))
    assert held(peer, "q") == [b"a.1", b"a.2"]


def test_what_is_kept_is_bounded_and_goes_with_the_exchange(
    broker: AmqpBroker, peer: AmqpPeer
) -> None:
    declare(peer, HISTORY)
    for number in range(100):
        peer.publish("k", b"%d" % number, exchange="x")
    history = broker.virtual_host.exchanges["x"].history
    assert history is not None
    assert history.ready_count == 20
    peer.call(commands.Exchange.Delete(exchange="x"))
    assert history.light.deleted
    declare(peer, HISTORY)
    bind(peer, "q")
    assert held(peer, "q") == []


@pytest.mark.parametrize(
    ("length", "shown"), [(0, "0"), (-1, "-1"), ("a", '<<"a">>'), (True, "true")]
)
def test_a_history_has_a_length(peer: AmqpPeer, length: object, shown: str) -> None:
    arguments = {"x-recent-history-length": length}
    declared = commands.Exchange.Declare(exchange="x", exchange_type=HISTORY, arguments=arguments)
    assert peer.fail(declared) == (
        "Channel.Close",
        406,
        f"PRECONDITION_FAILED - Invalid argument {shown},"
        " 'x-recent-history-length' must be a positive integer",
    )


def test_declaring_again_compares_no_arguments(peer: AmqpPeer) -> None:
    declare(peer, HISTORY, x_recent_history_length=3)
    declare(peer, HISTORY, x_recent_history_length=4)
    declare(peer, "x-consistent-hash", "h")
    declare(peer, "x-consistent-hash", "h", hash_header="other")
