"""Policies as AMQP clients feel them: at once, on connections that are open."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands

from gateway.policies.policies import Policy
from tests.support.amqp_peer import AmqpBroker, AmqpPeer


def put(broker: AmqpBroker, pattern: str, kind: str = "policy", **definition: Any) -> None:
    made = {key.replace("_", "-"): value for key, value in definition.items()}
    broker.virtual_host.policies.put(kind, Policy(pattern, pattern, made))
    broker.gateway.turn.end()


def confirming(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.call(commands.Confirm.Select())
    return peer


def test_a_publisher_is_refused_from_now_on(broker: AmqpBroker) -> None:
    """Also one that has published there before, and whose route is known."""
    peer = confirming(broker)
    peer.declare()
    answers = []
    for step in range(6):
        if step == 2:
            put(broker, "q", max_length=3, overflow="reject-publish")
        if step == 4:
            broker.virtual_host.policies.delete("policy", "q")
        peer.publish("q", b"%d" % step)
        answers += [each.name for each in peer.receive_all()]
    assert answers == ["Basic.Ack"] * 3 + ["Basic.Nack"] + ["Basic.Ack"] * 2


def test_an_operator_limits_what_clients_ask_for(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare(arguments={"x-max-length": 5})
    put(broker, "", "operator_policy", max_length=2)
    for number in range(4):
        peer.publish("q", b"%d" % number)
    assert [each.body for each in peer.consume()] == [b"2", b"3"]


def test_dead_letters_go_where_the_policy_says(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare()
    peer.declare("dead")
    put(broker, "^q$", dead_letter_exchange="", dead_letter_routing_key="dead")
    peer.publish("q", b"m")
    tag = peer.get().command.delivery_tag
    peer.method(1, commands.Basic.Reject(delivery_tag=tag, requeue=False))
    assert peer.get("dead").body == b"m"


@pytest.mark.parametrize(
    ("arguments", "ready"),
    [
        ({}, 2),
        ({"x-max-priority": 5}, 2),
        ({"x-dead-letter-exchange": "amq.fanout"}, 4),
        ({"x-queue-type": "quorum"}, 4),
    ],
)
def test_what_comes_without_time_is_not_kept_behind_what_has_time(
    broker: AmqpBroker, arguments: dict[str, Any], ready: int
) -> None:
    """As RabbitMQ's classic queues do, where nothing is told of what has died."""
    peer = broker.connect()
    peer.declare(durable=True, arguments=arguments)
    for body in (b"1", b"2"):
        peer.publish("q", body)
    broker.clock.advance(1)
    put(broker, "q", message_ttl=0)
    for body in (b"3", b"4"):
        peer.publish("q", body)
    assert peer.declare(passive=True).message_count == ready
    peer.consume()
    peer.publish("q", b"5")
    assert peer.bodies() == [b"5"]


def test_the_alternate_exchange_of_a_policy(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare()
    peer.call(commands.Queue.Bind(queue="q", exchange="amq.fanout"))
    peer.call(commands.Exchange.Declare(exchange="x"))
    peer.publish("nowhere", b"1", exchange="x")
    put(broker, "x", alternate_exchange="amq.fanout")
    peer.publish("nowhere", b"2", exchange="x")
    assert [each.body for each in peer.consume()] == [b"2"]


def test_policies_do_not_count_in_a_redeclaration(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare()
    put(broker, "q", max_length=3)
    assert peer.declare().name == "Queue.DeclareOk"
    assert peer.fail(commands.Queue.Declare(queue="q", arguments={"x-max-length": 3}))[1] == 406
