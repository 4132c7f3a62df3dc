"""Queues with x-max-priority, over STOMP."""

from __future__ import annotations

from pathlib import Path

from gateway.declarations import QueueDeclaration
from tests.support.stomp_peer import StompBroker


def test_a_subscription_makes_one_and_gets_the_most_urgent_first(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    peer = broker.connect()
    subscription = {"id": "0", "destination": "/queue/q", "ack": "client-individual"}
    peer.frame("SUBSCRIBE", x_max_priority="5", **subscription)
    assert not peer.receive_all()
    assert broker.virtual_host.queues["q"].options.max_priority == 5
    peer.frame("UNSUBSCRIBE", id="0")
    for _ in range(2):  # The second ones take the hot path.
        for level in ("1", "9", "4"):
            peer.frame("SEND", level.encode(), destination="/amq/queue/q", priority=level)
    for receipt in ("a", "b"):
        peer.frame("SEND", b"2", destination="/amq/queue/q", priority="2", receipt=receipt)
    peer.frame("SEND", b"none", destination="/amq/queue/q")
    peer.receive_all()
    peer.frame("SUBSCRIBE", x_max_priority="5", **subscription)
    assert peer.bodies() == [b"9", b"9", b"4", b"4", b"2", b"2", b"1", b"1", b"none"]


def test_a_transaction(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    queue = broker.virtual_host.declare_queue(
        QueueDeclaration("q", arguments={"x-max-priority": 9})
    )
    peer = broker.connect()
    peer.frame("BEGIN", transaction="t")
    for level in ("1", "9", "4"):
        destination = {"destination": "/amq/queue/q", "transaction": "t"}
        peer.frame("SEND", level.encode(), priority=level, **destination)
    peer.frame("COMMIT", transaction="t")
    assert [each.message[2] for each in queue.take(9)] == [b"9", b"4", b"1"]
