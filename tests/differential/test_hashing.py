"""Exchanges that choose among several destinations: what can be compared without the choice.

Which destination a message gets is chance, or a hash of RabbitMQ's own. Which messages stay
together, and that each arrives once, is the same everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.differential.brokers import Brokers

pytestmark = pytest.mark.differential

_EXCHANGE = "chooser"
_QUEUES = ("h1", "h2", "h3")
_KEYS = [f"key {number}" for number in range(60)]
_ROUNDS = 3

# How a message is published so that it belongs to one of `_KEYS`.
Publishing = Callable[[str], tuple[str, pika.BasicProperties]]


def by_routing_key(key: str) -> tuple[str, pika.BasicProperties]:
    return key, pika.BasicProperties()


def by_header(key: str) -> tuple[str, pika.BasicProperties]:
    return "same", pika.BasicProperties(headers={"mine": key})


def by_message_id(key: str) -> tuple[str, pika.BasicProperties]:
    return "same", pika.BasicProperties(message_id=key)


def by_correlation_id(key: str) -> tuple[str, pika.BasicProperties]:
    return "same", pika.BasicProperties(correlation_id=key)


CASES: Mapping[str, tuple[str, dict[str, Any], Publishing]] = {
    "routing key": ("x-consistent-hash", {}, by_routing_key),
    "header": ("x-consistent-hash", {"hash-header": "mine"}, by_header),
    "message id": ("x-consistent-hash", {"hash-property": "message_id"}, by_message_id),
    "correlation id": ("x-consistent-hash", {"hash-property": "correlation_id"}, by_correlation_id),
    "nothing to tell them apart": ("x-consistent-hash", {"hash-header": "none"}, by_header),
    "chance": ("x-random", {}, by_routing_key),
}


def publish_all(channel: BlockingChannel, publishing: Publishing) -> None:
    for key in _KEYS * _ROUNDS:
        routing_key, properties = publishing(key)
        channel.basic_publish(_EXCHANGE, routing_key, key.encode(), properties)


def take_all(channel: BlockingChannel) -> dict[str, list[str]]:
    """What is in each queue."""
    found: dict[str, list[str]] = {}
    for queue in _QUEUES:
        bodies = found[queue] = []
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            bodies.append(got[2].decode())
    return found


def places(found: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """In which queues the messages of each key are."""
    queues: dict[str, set[str]] = defaultdict(set)
    for queue, bodies in found.items():
        for body in bodies:
            queues[body].add(queue)
    return queues


def described(found: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """All of it that is not the choice itself."""
    return {
        "messages": sum(map(len, found.values())),
        "each key in one queue": all(len(queues) == 1 for queues in places(found).values()),
        "all in one queue": sum(map(bool, found.values())) == 1,
    }


def converse(port: int, case: str) -> list[object]:
    """What becomes of the messages with three queues, then with two."""
    type, arguments, publishing = CASES[case]
    connection = pika.BlockingConnection(pika.ConnectionParameters(port=port))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare(_EXCHANGE, type, arguments=arguments)
    for queue, weight in zip(_QUEUES, ("1", "2", "3"), strict=True):
        channel.queue_declare(queue)
        channel.queue_bind(queue, _EXCHANGE, weight)
    told: list[object] = []
    publish_all(channel, publishing)
    told.append(described(take_all(channel)))
    channel.queue_unbind(_QUEUES[0], _EXCHANGE, "1")
    publish_all(channel, publishing)
    left = take_all(channel)
    told += [described(left), len(left[_QUEUES[0]])]
    for queue in _QUEUES:
        channel.queue_delete(queue)
    channel.exchange_delete(_EXCHANGE)
    connection.close()
    return told


@pytest.mark.parametrize("case", CASES)
def test_agree(brokers: Brokers, case: str) -> None:
    theirs, ours = (converse(broker.port, case) for broker in brokers)
    assert ours == theirs
