"""A disk without room: who publishes waits, and nothing is lost or said twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.declarations import QueueDeclaration
from tests.support.disk import FullDisk
from tests.support.stomp_peer import BuryingBroker, Peer, StompBroker, encode


@pytest.fixture
def peer(broker: StompBroker) -> Peer:
    peer = broker.connect()
    peer.frame("SEND", b"first", destination="/queue/q", persistent="true", receipt="0")
    assert peer.receive().headers["receipt-id"] == "0"
    return peer


def persistent(body: bytes, **headers: str) -> bytes:
    return encode("SEND", body, destination="/queue/q", persistent="true", **headers)


def bodies(broker: StompBroker) -> list[bytes]:
    return [each.message[2] for each in broker.virtual_host.queues["q"].take(100)]


def receipts(peer: Peer) -> list[str]:
    return [frame.headers["receipt-id"] for frame in peer.receive_all()]


def test_a_publisher_waits(
    broker: StompBroker, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, room=0)
    peer.send(persistent(b"a", receipt="1") + persistent(b"b", receipt="2"))
    assert peer.octets() == b""
    assert peer.wire.producerState == "paused"
    broker.clock.advance(1)
    assert not peer.hung_up
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert receipts(peer) == ["1", "2"]
    assert peer.wire.producerState == "producing"
    assert bodies(broker) == [b"first", b"a", b"b"]


def test_what_comes_meanwhile_follows(
    broker: StompBroker, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A WebSocket may hand on more of what it had read already."""
    disk = FullDisk(monkeypatch, room=0)
    half = persistent(b"b", receipt="2")
    peer.send(persistent(b"a", receipt="1") + half[:20])
    peer.send(half[20:])
    peer.send(persistent(b"c", receipt="3"))
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert receipts(peer) == ["1", "2", "3"]
    assert bodies(broker) == [b"first", b"a", b"b", b"c"]


def test_frames_of_another_kind_wait_their_turn(
    broker: StompBroker, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, room=0)
    transient = encode("SEND", b"t", destination="/queue/q")
    begin = encode("BEGIN", transaction="x", receipt="2")
    bye = encode("DISCONNECT", receipt="4")
    peer.send(persistent(b"a", receipt="1") + transient + begin + persistent(b"b"))
    broker.clock.advance(1)
    peer.send(bye)
    assert peer.octets() == b""
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert receipts(peer) == ["2", "1", "4"], "BEGIN needs no disk, DISCONNECT is the last"
    assert peer.hung_up
    assert bodies(broker) == [b"first", b"a", b"t", b"b"]


def test_a_commit_waits_with_all_that_it_has(
    broker: StompBroker, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.frame("BEGIN", transaction="t")
    peer.send(persistent(b"a", transaction="t") + persistent(b"b", transaction="t"))
    disk = FullDisk(monkeypatch, room=0)
    peer.frame("COMMIT", transaction="t", receipt="1")
    broker.clock.advance(3)
    assert peer.octets() == b""
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert receipts(peer) == ["1"]
    assert bodies(broker) == [b"first", b"a", b"b"]


def test_a_queue_that_may_refuse_gets_each_once(
    broker: StompBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"x-max-length": 10, "x-overflow": "reject-publish"}
    broker.virtual_host.declare_queue(QueueDeclaration("q", durable=True, arguments=arguments))
    peer = broker.connect()
    frames = [
        encode("SEND", b"%d" % number * 500, destination="/amq/queue/q", persistent="true")
        for number in range(4)
    ]
    disk = FullDisk(monkeypatch, room=1_500)  # For two of them.
    peer.send(b"".join(frames))
    assert peer.wire.producerState == "paused"
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert [body[:1] for body in bodies(broker)] == [b"0", b"1", b"2", b"3"]


def test_heart_beats_are_not_missed(broker: StompBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = broker.connect(heart_beat="1000,1000")
    disk = FullDisk(monkeypatch, room=0)
    peer.send(persistent(b"a", receipt="1"))
    for _ in range(20):
        broker.clock.advance(0.5)
    assert not peer.hung_up
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert "1" in receipts(peer)


def test_a_peer_that_goes_is_forgotten(
    broker: StompBroker, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch, room=0)
    peer.send(persistent(b"a", receipt="1"))
    peer.lose()
    disk.room = 1 << 20
    broker.clock.advance(2)
    assert bodies(broker) == [b"first"]


def test_a_nack_waits_for_its_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = BuryingBroker(tmp_path)
    peer = broker.connect()
    broker.virtual_host.declare_queue(QueueDeclaration("dead", durable=True))
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    dying = broker.virtual_host.declare_queue(
        QueueDeclaration("dying", durable=True, arguments=arguments)
    )
    peer.frame("SUBSCRIBE", destination="/amq/queue/dying", id="s", ack="client")
    peer.frame("SEND", b"1", destination="/amq/queue/dying", persistent="true")
    peer.frame("SEND", b"2", destination="/amq/queue/dying", persistent="true")
    last = peer.receive_all()[-1]
    disk = FullDisk(monkeypatch, room=0)
    peer.frame("NACK", id=last.headers["ack"], requeue="false", receipt="nacked")
    assert peer.octets() == b""
    disk.room = 1 << 20
    broker.clock.advance(1)
    assert receipts(peer) == ["nacked"]
    assert broker.virtual_host.queues["dead"].ready_count == 2
    assert (dying.ready_count, dying.unsettled_count) == (0, 0)
