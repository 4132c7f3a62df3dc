"""A queue that refuses what is too much, and messages that last for a time, over STOMP."""

from __future__ import annotations

from pathlib import Path

from gateway.declarations import QueueDeclaration
from tests.support.stomp_peer import StompBroker

FULL_AT_ONE = {"x-max-length": 1, "x-overflow": "reject-publish"}


def test_a_full_queue_ends_the_session(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    queue = broker.virtual_host.declare_queue(
        QueueDeclaration("q", durable=True, arguments=FULL_AT_ONE)
    )
    peer = broker.connect()
    peer.frame("SEND", b"1", destination="/amq/queue/q", receipt="a")
    peer.frame("SEND", b"2", destination="/amq/queue/q", receipt="b")
    receipt, error = peer.receive_all()
    assert (receipt.command, receipt.headers["receipt-id"]) == ("RECEIPT", "a")
    assert (error.command, error.headers["message"]) == ("ERROR", "resource_error")
    assert error.body == b"RESOURCE_ERROR - a queue is full\n"
    assert peer.hung_up
    assert queue.ready_count == 1


def test_an_expiration(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    queue = broker.virtual_host.declare_queue(QueueDeclaration("q", durable=True))
    peer = broker.connect()
    for number in range(3):  # The second and third take the hot path.
        for receipt in ({}, {"receipt": f"r{number}"}):
            peer.frame("SEND", b"m", destination="/amq/queue/q", expiration="500", **receipt)
    peer.frame("SEND", b"stays", destination="/amq/queue/q")
    assert queue.ready_count == 7
    broker.clock.advance(0.5)
    assert [each.message[2] for each in queue.take(9)] == [b"stays"]


def test_a_transaction_is_taken_in_as_a_whole(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    limited = broker.virtual_host.declare_queue(
        QueueDeclaration(
            "q", durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}
        )
    )
    other = broker.virtual_host.declare_queue(QueueDeclaration("other", durable=True))
    peer = broker.connect()
    for name, count in (("fits", 2), ("full", 1)):
        peer.frame("BEGIN", transaction=name)
        peer.frame("SEND", b"m", destination="/amq/queue/other", transaction=name)
        for _ in range(count):
            peer.frame("SEND", b"m", destination="/amq/queue/q", transaction=name)
        peer.frame("COMMIT", transaction=name, receipt=name)
    receipt, error = peer.receive_all()
    assert (receipt.command, receipt.headers["receipt-id"]) == ("RECEIPT", "fits")
    assert (error.command, error.headers["message"]) == ("ERROR", "resource_error")
    assert (limited.ready_count, other.ready_count) == (2, 1)


def test_a_transaction_larger_than_the_queue_is_refused_whole(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    queue = broker.virtual_host.declare_queue(
        QueueDeclaration(
            "q", durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"}
        )
    )
    peer = broker.connect()
    peer.frame("BEGIN", transaction="t")
    for _ in range(3):
        peer.frame("SEND", b"m", destination="/amq/queue/q", transaction="t")
    peer.frame("COMMIT", transaction="t")
    assert peer.receive().headers["message"] == "resource_error"
    assert queue.ready_count == 0
