"""Quorum queues, as RabbitMQ 4.2's users see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import PERSISTENT, TRANSIENT, AmqpBroker, AmqpPeer, Received

QUORUM = {"x-queue-type": "quorum"}
TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
AT_LEAST_ONCE = {
    **TO_DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
NAME = "queue 'q' in vhost '/'"


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


def declaration(queue: str = "q", **more: Any) -> commands.Queue.Declare:
    options = {name: more.pop(name) for name in ("exclusive", "auto_delete") if name in more}
    durable = more.pop("durable", True)
    arguments = {**QUORUM, **more.pop("arguments", {})}
    return commands.Queue.Declare(queue=queue, durable=durable, arguments=arguments, **options)


def declare(peer: AmqpPeer, **arguments: Any) -> None:
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    peer.call(declaration(arguments=named))


def publish(peer: AmqpPeer, *bodies: str, **properties: Any) -> None:
    for body in bodies:
        peer.publish("q", body.encode(), encode_properties({"delivery_mode": 2, **properties}))


def headers(received: Received) -> dict[str, Any]:
    return dict(decode_properties(received.properties).get("headers", {}))


def drain(peer: AmqpPeer, queue: str = "q") -> list[str]:
    bodies = []
    while (got := peer.get(queue, no_ack=True)).name == "Basic.GetOk":
        bodies.append(got.body.decode())
    return bodies


def give_back(peer: AmqpPeer, received: Received, requeue: bool = True) -> None:
    tag = received.command.delivery_tag
    peer.method(1, commands.Basic.Nack(delivery_tag=tag, requeue=requeue))


def count(peer: AmqpPeer, queue: str = "q") -> int:
    declared = peer.call(commands.Queue.Declare(queue=queue, passive=True))
    return int(declared.message_count)


class TestDeclaring:
    @pytest.mark.parametrize(
        ("wanted", "text"),
        [
            (declaration(auto_delete=True), f"invalid property 'auto-delete' for {NAME}"),
            (declaration(exclusive=True), f"invalid property 'exclusive-owner' for {NAME}"),
            (declaration(durable=False), f"invalid property 'non-durable' for {NAME}"),
            (
                declaration(queue=""),
                "Cannot declare a server-named queue for type rabbit_quorum_queue",
            ),
            (
                declaration(arguments={"x-max-priority": 5}),
                f"invalid arg 'x-max-priority' for {NAME} of queue type rabbit_quorum_queue",
            ),
            (
                declaration(arguments={"x-queue-mode": "lazy"}),
                f"invalid arg 'x-queue-mode' for {NAME} of queue type rabbit_quorum_queue",
            ),
        ],
    )
    def test_what_it_cannot_be(
        self, broker: AmqpBroker, wanted: commands.Queue.Declare, text: str
    ) -> None:
        peer = broker.connect()
        assert peer.fail(wanted) == ("Channel.Close", 406, f"PRECONDITION_FAILED - {text}")

    def test_it_is_not_the_same_as_a_classic_one(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        declare(peer)
        failure = peer.fail(commands.Queue.Declare(queue="q", durable=True))
        assert failure[:2] == ("Channel.Close", 406)
        assert "inequivalent arg 'x-queue-type'" in failure[2]

    @pytest.mark.parametrize("flag", ["if_unused", "if_empty"])
    def test_it_is_deleted_as_it_is_or_not_at_all(self, broker: AmqpBroker, flag: str) -> None:
        peer = broker.connect()
        declare(peer)
        publish(peer, "a")
        assert peer.fail(commands.Queue.Delete(queue="q", **{flag: True})) == (
            "Connection.Close",
            540,
            f"NOT_IMPLEMENTED - cannot delete {NAME}. queue.delete operations with"
            f" {flag.replace('_', '-')} flag set are not supported by quorum queues",
        )
        peer = broker.connect()
        assert peer.call(commands.Queue.Delete(queue="q")).message_count == 1

    def test_the_default_type_of_a_virtual_host(self, broker: AmqpBroker) -> None:
        broker.virtual_host.default_queue_type = "quorum"
        peer = broker.connect()
        peer.declare(durable=True)
        peer.declare("of this run")
        types = {name: queue.type.name for name, queue in broker.virtual_host.queues.items()}
        assert types == {"q": "quorum", "of this run": "classic"}


class TestConsuming:
    def test_exclusive_means_nothing(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        assert not peer.consume(tag="s", exclusive=True)
        assert not peer.consume(tag="t", exclusive=True)

    def test_no_prefetch_of_the_channel(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        peer.call(commands.Basic.Qos(prefetch_count=5, global_=True))
        assert peer.fail(commands.Basic.Consume(queue="q")) == (
            "Connection.Close",
            540,
            f"NOT_IMPLEMENTED - {NAME} does not support global qos",
        )

    def test_a_later_prefetch_of_the_channel_is_not_about_it(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        peer.consume(tag="t")
        peer.call(commands.Basic.Qos(prefetch_count=1, global_=True))
        publish(peer, "1", "2", "3")
        assert peer.bodies() == [b"1", b"2", b"3"]

    def test_no_get_beside_a_single_active_consumer(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_single_active_consumer=True)
        assert peer.fail(commands.Basic.Get(queue="q")) == (
            "Channel.Close",
            405,
            f"RESOURCE_LOCKED - cannot obtain access to locked {NAME}. basic.get operations are not"
            " supported by quorum queues with single active consumer",
        )
        publish(peer, "a")
        assert [each.body for each in peer.consume()] == [b"a"]

    def test_of_three_two_are_urgent(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        for level, bodies in ((4, "abc"), (5, "ABC"), (255, "DEF")):
            publish(peer, *bodies, priority=level)
        assert "".join(drain(peer)) == "ABaCDbEFc"

    def test_purge_and_counts(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        publish(peer, "a", "b")
        publish(peer, "C", priority=9)
        give_back(peer, peer.get())
        assert count(peer) == 3
        assert peer.call(commands.Queue.Purge(queue="q")).message_count == 3
        assert count(peer) == 0


class TestReturning:
    def test_first_in_the_order_of_return_with_a_count(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        publish(peer, "a", "b", "c")
        first, second = peer.get(), peer.get()
        assert "x-delivery-count" not in headers(first)
        give_back(peer, second)
        give_back(peer, first)
        again = [peer.get() for _ in range(3)]
        assert [(each.body, each.command.redelivered) for each in again] == [
            (b"b", True),
            (b"a", True),
            (b"c", False),
        ]
        assert [headers(each).get("x-delivery-count") for each in again] == [1, 1, None]
        assert broker.virtual_host.queues["q"].unsettled_count == 3

    def test_consumers_get_the_count_too(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        publish(peer, "a", headers={"own": "x"})
        (delivery,) = peer.consume()
        for times in range(1, 4):
            give_back(peer, delivery)
            (delivery,) = peer.deliveries()
            assert headers(delivery) == {"own": "x", "x-delivery-count": times}

    def test_a_channel_that_ends_gives_all_back(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        publish(peer, "a", "b")
        peer.open_channel(2)
        peer.consume(channel=2)
        peer.call(commands.Channel.Close(200, "", 0, 0), channel=2)
        assert headers(peer.get())["x-delivery-count"] == 1

    def test_without_a_limit_behind_the_others(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_delivery_limit=-1)
        publish(peer, "a", "b")
        for times in range(1, 31):
            got = peer.get()
            assert got.body == (b"a" if times % 2 else b"b")
            give_back(peer, got)
        assert headers(peer.get())["x-delivery-count"] == 15

    @pytest.mark.parametrize("limit", [None, 0, 3])
    def test_too_often(self, broker: AmqpBroker, limit: int | None) -> None:
        peer = broker.connect()
        peer.declare("dead")
        declare(peer, **TO_DEAD, **({} if limit is None else {"x-delivery-limit": limit}))
        publish(peer, "a", "b")
        limit = 20 if limit is None else limit
        for times in range(limit + 1):
            assert count(peer, "dead") == 0
            got = peer.get()
            assert headers(got).get("x-delivery-count", 0) == times
            give_back(peer, got)
        dead = peer.get("dead")
        assert dead.body == b"a"
        assert headers(dead)["x-death"][0]["reason"] == "delivery_limit"
        assert drain(peer) == ["b"]

    def test_too_often_and_nobody_wants_it(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_delivery_limit=0)
        publish(peer, "a")
        give_back(peer, peer.get())
        queue = broker.virtual_host.queues["q"]
        assert (queue.ready_count, queue.unsettled_count) == (0, 0)

    def test_whoever_selects_gets_what_was_returned(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        for body in ("a", "b", "c"):
            publish(peer, body, headers={"letter": body})
        give_back(peer, peer.get())
        arguments = {"x-rosetta-selector": "letter <> 'b'"}
        deliveries = peer.consume(arguments=arguments)
        assert [(each.body, each.command.redelivered) for each in deliveries] == [
            (b"a", True),
            (b"c", False),
        ]
        assert headers(deliveries[0])["x-delivery-count"] == 1
        give_back(peer, deliveries[0])
        (again,) = peer.deliveries()
        assert (again.body, headers(again)["x-delivery-count"]) == (b"a", 2)
        queue = broker.virtual_host.queues["q"]
        assert (queue.ready_count, queue.unsettled_count) == (1, 2)


class TestRestart:
    def test_all_is_there_persistent_or_not(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer)
        peer.publish("q", b"a", TRANSIENT)
        peer.publish("q", b"b", PERSISTENT)
        broker.restart()
        assert drain(broker.connect()) == ["a", "b"]

    def test_the_count_goes_on(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare("dead", durable=True)
        declare(peer, x_delivery_limit=4, **TO_DEAD)
        publish(peer, "a", "b")
        for _ in range(3):
            give_back(peer, peer.get())
        broker.restart()
        peer = broker.connect()
        got = peer.get()
        assert (got.body, got.command.redelivered) == (b"a", True)
        assert headers(got)["x-delivery-count"] == 3
        give_back(peer, got)
        give_back(peer, peer.get())
        assert drain(peer, "dead") == ["a"]
        assert drain(peer) == ["b"]


class TestLimits:
    def test_the_head_goes(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_max_length=2)
        publish(peer, "a", "b", "c")
        assert drain(peer) == ["b", "c"]

    def test_what_was_returned_is_the_head(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_max_length=2)
        publish(peer, "a", "b", "c")
        first, second = peer.get(), peer.get()
        publish(peer, "d")
        give_back(peer, second)
        give_back(peer, first)
        assert drain(peer) == ["b", "d"], "c was returned first"

    def test_an_overflow_that_it_does_not_have(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_max_length=1, x_overflow="reject-publish-dlx")
        publish(peer, "a", "b")
        assert drain(peer) == ["b"]

    def test_expiry(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare("dead")
        declare(peer, x_message_ttl=1000, **TO_DEAD)
        publish(peer, "a")
        give_back(peer, peer.get())
        broker.clock.advance(1)
        assert drain(peer, "dead") == ["a"]


class TestAtLeastOnce:
    def test_kept_until_there_is_a_queue_for_it(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_delivery_limit=0, **AT_LEAST_ONCE)
        publish(peer, "a", "b")
        give_back(peer, peer.get(), requeue=False)
        give_back(peer, peer.get())
        queue = broker.virtual_host.queues["q"]
        broker.clock.advance(10)
        assert (queue.ready_count, queue.unsettled_count) == (0, 2)
        peer.declare("dead")
        broker.clock.advance(10)
        assert queue.unsettled_count == 0
        got = [peer.get("dead") for _ in range(2)]
        assert [(each.body, headers(each)["x-death"][0]["reason"]) for each in got] == [
            (b"a", "rejected"),
            (b"b", "delivery_limit"),
        ]

    def test_kept_while_one_of_its_queues_is_full(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, **{**AT_LEAST_ONCE, "x-dead-letter-exchange": "amq.fanout"})
        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        peer.declare("dead", arguments=full)
        peer.declare("other")
        for name in ("dead", "other"):
            peer.call(commands.Queue.Bind(queue=name, exchange="amq.fanout"))
        publish(peer, "a", "b")
        for _ in range(2):
            give_back(peer, peer.get(), requeue=False)
        broker.clock.advance(100)
        assert (count(peer, "dead"), count(peer, "other")) == (1, 1)
        assert drain(peer, "dead") == ["a"]
        broker.clock.advance(10)
        assert drain(peer, "dead") == ["b"]
        assert drain(peer, "other") == ["a", "b"]

    def test_kept_over_a_restart(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, x_message_ttl=1000, **AT_LEAST_ONCE)
        publish(peer, "a")
        broker.clock.advance(1)
        assert broker.virtual_host.queues["q"].unsettled_count == 1
        broker.restart()
        peer = broker.connect()
        peer.declare("dead")
        broker.clock.advance(10)
        assert drain(peer, "dead") == ["a"]

    def test_only_if_the_queue_itself_drops_nothing(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, **{**AT_LEAST_ONCE, "x-overflow": "drop-head"})
        publish(peer, "a")
        give_back(peer, peer.get(), requeue=False)
        assert broker.virtual_host.queues["q"].unsettled_count == 0

    def test_a_deleted_queue_waits_for_nothing(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        declare(peer, **AT_LEAST_ONCE)
        publish(peer, "a")
        calls = len(broker.clock.getDelayedCalls())
        give_back(peer, peer.get(), requeue=False)
        assert len(broker.clock.getDelayedCalls()) == calls + 1
        peer.call(commands.Queue.Delete(queue="q"))
        assert len(broker.clock.getDelayedCalls()) == calls
