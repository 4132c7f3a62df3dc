"""What dies while the disk is full is a dead letter when there is room again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from core.light_queue import LightQueue
from protocols.amqp.codec import encode_properties
from tests.support.amqp_peer import AmqpBroker
from tests.support.disk import FullDisk

QUORUM = {"x-queue-type": "quorum"}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-expire-behind-head": True, "x-max-length-bytes": 1000},
        QUORUM,
        {
            **QUORUM,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    ],
)
def test_what_expires_waits_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    broker = AmqpBroker(tmp_path)
    peer = broker.connect()
    peer.declare("dead", durable=True)
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    peer.declare("q", durable=True, arguments={**arguments, **to_dead})
    for number in range(3):
        properties = encode_properties({"delivery_mode": 2, "expiration": "1000"})
        peer.publish("q", b"%d" % number, properties)
    with monkeypatch.context() as patch:
        FullDisk(patch, 0)
        broker.clock.pump([1.0] * 5)
    broker.clock.pump([1.0] * 20)
    assert sorted(peer.get("dead").body for _ in range(3)) == [b"0", b"1", b"2"]
    light = broker.virtual_host.queues["q"].light
    assert (light.ready_count, light.in_flight_count) == (0, 0)


@pytest.mark.parametrize("requeue", [False, True])
def test_what_was_returned_too_often_is_ready_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requeue: bool
) -> None:
    broker = AmqpBroker(tmp_path)
    peer = broker.connect()
    peer.declare("dead", durable=True)
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    peer.declare("q", durable=True, arguments={**QUORUM, **to_dead, "x-delivery-limit": 0})
    peer.publish("q", b"x", encode_properties({"delivery_mode": 2}))
    tag = peer.get("q").command.delivery_tag
    with monkeypatch.context() as patch:
        FullDisk(patch, 0)
        peer.method(1, commands.Basic.Reject(delivery_tag=tag, requeue=requeue))
        broker.clock.pump([1.0] * 5)
    broker.clock.pump([1.0] * 5)
    light = broker.virtual_host.queues["q"].light
    assert (light.ready_count, light.in_flight_count) == (1, 0)
    other = broker.connect()
    other.method(1, commands.Basic.Reject(other.get("q").command.delivery_tag, requeue=True))
    assert other.get("dead").body == b"x"


def test_what_cannot_be_read_goes_with_the_rest_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is damaged while it is in flight leaves its queue once its fellows can."""
    broker = AmqpBroker(tmp_path)
    peer = broker.connect()
    peer.declare("dead", durable=True)
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    peer.declare("q", durable=True, arguments=to_dead)
    for number in range(3):
        peer.publish("q", b"%d" % number, encode_properties({"delivery_mode": 2}))
    peer.consume()
    light = broker.virtual_host.queues["q"].light
    read = LightQueue.read
    # What is not there is passed over, as `read` does it.
    monkeypatch.setattr(
        LightQueue,
        "read",
        lambda light, offset, count: read(light, 1 if offset == 0 else offset, count),
    )
    reject = commands.Basic.Nack(delivery_tag=3, multiple=True, requeue=False)
    with monkeypatch.context() as patch:
        FullDisk(patch, 0)
        peer.method(1, reject)
        broker.clock.pump([1.0] * 5)
        assert (light.ready_count, light.in_flight_count) == (3, 0)
    broker.clock.pump([1.0] * 5)
    peer = broker.connect()
    peer.consume()
    peer.method(1, reject)
    assert (light.ready_count, light.in_flight_count) == (0, 0)
    assert [peer.get("dead").body for _ in range(2)] == [b"1", b"2"]
    assert peer.get("dead").name == "Basic.GetEmpty"
