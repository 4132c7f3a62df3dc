"""Quorum queues over STOMP."""

from __future__ import annotations

from pathlib import Path

from tests.support.stomp_peer import StompBroker


def test_what_comes_again_says_how_often_it_came(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    peer = broker.connect()
    peer.frame("SUBSCRIBE", id="0", destination="/queue/q", ack="client", x_queue_type="quorum")
    peer.frame("SEND", b"a", destination="/amq/queue/q")
    message = peer.receive()
    assert "x-delivery-count" not in message.headers
    peer.frame("NACK", id=message.headers["ack"], requeue="true")
    message = peer.receive()
    assert message.headers["x-delivery-count"] == "1"
    assert broker.virtual_host.queues["q"].type.name == "quorum"
