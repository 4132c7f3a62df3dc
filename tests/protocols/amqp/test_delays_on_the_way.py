"""Messages that reach a delaying exchange through another one: the plugin delays as it routes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pamqp import commands

from tests.protocols.amqp.test_delays import bodies, declare_exchange, headers_of, with_headers
from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer, publish_frames

LATE = with_headers(x_delay=5000)


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    """The fanout exchange `first` leads to queue `now` and, through the delaying `late`, to `q`."""
    peer = broker.connect()
    peer.call(commands.Exchange.Declare(exchange="first", exchange_type="fanout", durable=True))
    declare_exchange(peer, durable=True)
    for queue, exchange in (("now", "first"), ("q", "late")):
        peer.declare(queue, durable=True)
        peer.call(commands.Queue.Bind(queue=queue, exchange=exchange, routing_key="k"))
    peer.call(commands.Exchange.Bind(destination="late", source="first", routing_key=""))
    return peer


def test_they_wait_there_and_others_get_them_at_once(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.publish("k", b"body", LATE, exchange="first")
    assert (bodies(peer, "now"), bodies(peer)) == ([b"body"], [])
    assert broker.virtual_host.delays.count("late") == 1
    broker.clock.advance(5)
    got = peer.get("q")
    assert (got.body, got.command.exchange, headers_of(got)) == (
        b"body",
        "first",
        {"x-delay": -5000},
    )
    assert bodies(peer, "now") == []


def test_without_a_delay_they_pass(peer: AmqpPeer) -> None:
    for properties in (b"\0\0", with_headers(x_delay=-1)):
        peer.publish("k", b"body", properties, exchange="first")
    assert (len(bodies(peer, "now")), len(bodies(peer))) == (2, 2)


def test_they_go_on_from_there_by_the_bindings_of_then(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.publish("k", b"body", LATE, exchange="first")
    peer.call(commands.Exchange.Unbind(destination="late", source="first", routing_key=""))
    peer.declare("later")
    peer.call(commands.Queue.Bind(queue="later", exchange="late", routing_key="k"))
    broker.clock.advance(5)
    assert (bodies(peer), bodies(peer, "later"), bodies(peer, "now")) == (
        [b"body"],
        [b"body"],
        [b"body"],
    )


def test_the_order_of_what_goes_on_at_once(peer: AmqpPeer) -> None:
    """What is delayed, too, is no later there than what was published after it in one read."""
    peer.send(
        publish_frames(1, "first", "k", b"0", LATE)
        + publish_frames(1, "first", "k", b"1")
        + publish_frames(1, "first", "k", b"2", LATE)
    )
    assert bodies(peer, "now") == [b"0", b"1", b"2"]


def test_a_mandatory_one_is_returned_only_if_nobody_gets_it_at_once(peer: AmqpPeer) -> None:
    peer.publish("k", b"body", LATE, exchange="first", mandatory=True)
    assert peer.receive_all() == []
    peer.call(commands.Queue.Unbind(queue="now", exchange="first", routing_key="k"))
    peer.publish("k", b"returned", LATE, exchange="first", mandatory=True)
    (returned,) = peer.receive_all()
    assert (returned.name, returned.body) == ("Basic.Return", b"returned")


def test_confirmed_when_both_are_stored(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.call(commands.Confirm.Select())
    broker.disk.held = True
    peer.publish("k", b"body", LATE, exchange="first")
    assert peer.receive_all() == []
    broker.disk.release()
    assert [each.name for each in peer.receive_all()] == ["Basic.Ack"]


def test_two_exchanges_delay_it_each(broker: AmqpBroker, peer: AmqpPeer) -> None:
    declare_exchange(peer, "too", type="fanout")
    peer.call(commands.Exchange.Bind(destination="too", source="first", routing_key=""))
    peer.call(commands.Queue.Bind(queue="now", exchange="too", routing_key=""))
    peer.publish("k", b"body", LATE, exchange="first")
    broker.clock.advance(5)
    assert (bodies(peer), bodies(peer, "now")) == ([b"body"], [b"body", b"body"])


def test_through_an_alternate_exchange(broker: AmqpBroker, peer: AmqpPeer) -> None:
    arguments = {"alternate-exchange": "late"}
    peer.call(
        commands.Exchange.Declare(exchange="none", exchange_type="direct", arguments=arguments)
    )
    peer.publish("k", b"body", LATE, exchange="none")
    assert bodies(peer) == []
    broker.clock.advance(5)
    assert bodies(peer) == [b"body"]


def test_dead_letters_through_another_exchange(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.declare("dying", arguments={"x-dead-letter-exchange": "first"})
    peer.publish("dying", b"body", LATE)
    got = peer.get("dying")
    peer.method(1, commands.Basic.Reject(delivery_tag=got.command.delivery_tag, requeue=False))
    assert bodies(peer, "now") == [b"body"]
    peer.call(commands.Queue.Bind(queue="q", exchange="late", routing_key="dying"))
    assert bodies(peer) == []
    broker.clock.advance(5)
    assert bodies(peer) == [b"body"]


def test_in_a_transaction_with_a_queue_that_refuses(broker: AmqpBroker, peer: AmqpPeer) -> None:
    peer.declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    peer.call(commands.Queue.Bind(queue="full", exchange="first", routing_key=""))
    peer.call(commands.Tx.Select())
    for body in (b"0", b"1"):
        peer.publish("k", body, LATE, exchange="first")
    assert peer.fail(commands.Tx.Commit())[2] == "PRECONDITION_FAILED - partial tx completion"
    assert (bodies(peer, "full"), bodies(peer, "now")) == ([b"0"], [b"0", b"1"])
    broker.clock.advance(5)
    assert bodies(peer) == [b"0", b"1"]


def test_kept_over_a_restart(broker: AmqpBroker, peer: AmqpPeer) -> None:
    """What waits is kept, persistent or not; what went on at once only if it is persistent."""
    peer.publish("k", b"transient", LATE, exchange="first")
    peer.publish("k", b"persistent", PERSISTENT, exchange="first")
    broker.restart()
    peer = broker.connect()
    assert (bodies(peer, "now"), bodies(peer)) == ([b"persistent"], [b"persistent"])
    broker.clock.advance(5)
    assert bodies(peer) == [b"transient"]
