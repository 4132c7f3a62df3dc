"""SENDs that ask for a later time, in our words and in ActiveMQ's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding
from tests.support.stomp_peer import Peer, StompBroker


@pytest.fixture
def broker(tmp_path: Path) -> StompBroker:
    broker = StompBroker(tmp_path)
    broker.clock.advance(1_700_000_000)
    return broker


@pytest.fixture
def peer(broker: StompBroker) -> Peer:
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/queue/q", id="s")
    return peer


def send(peer: Peer, body: bytes, *lines: str) -> None:
    """A SEND to /queue/q with these header lines."""
    block = "".join(f"{line}\n" for line in ("destination:/queue/q", *lines))
    peer.send(f"SEND\n{block}\n".encode() + body + b"\0")


@pytest.mark.parametrize(
    "line",
    ["x-rosetta-delay:2000", "AMQ_SCHEDULED_DELAY:2000", "x-rosetta-deliver-at:1700000002000",
     "AMQ_SCHEDULED_TIME:1700000002000", "AMQ_SCHEDULED_PERIOD:2000"],
)  # fmt: skip
def test_comes_when_it_is_time(broker: StompBroker, peer: Peer, line: str) -> None:
    send(peer, b"late", line, "persistent:true")
    send(peer, b"late too", line, "persistent:true")
    send(peer, b"now", "persistent:true")
    assert peer.bodies() == [b"now"]
    broker.clock.advance(1.9)
    assert peer.bodies() == []
    broker.clock.advance(0.2)
    assert peer.bodies() == [b"late", b"late too"]


def test_shows_that_it_was_delayed(broker: StompBroker, peer: Peer) -> None:
    send(peer, b"x", "x-rosetta-delay:10", "a:b")
    send(peer, b"x", "AMQ_SCHEDULED_DELAY:10", "a:b")
    broker.clock.advance(1)
    first, second = peer.receive_all()
    assert first.headers["x-rosetta-delay"] == "-10"
    assert first.headers["a"] == second.headers["a"] == "b"
    assert "AMQ_SCHEDULED_DELAY" not in second.headers


def test_the_receipt_says_that_it_is_stored(broker: StompBroker, peer: Peer) -> None:
    """Transient or not: timers survive."""
    broker.disk.held = True
    send(peer, b"x", "AMQ_SCHEDULED_DELAY:10", "receipt:1")
    assert peer.octets() == b""
    broker.disk.release()
    assert peer.receive().headers["receipt-id"] == "1"


def test_in_a_transaction(broker: StompBroker, peer: Peer) -> None:
    peer.frame("BEGIN", transaction="t")
    send(peer, b"x", "AMQ_SCHEDULED_DELAY:1000", "transaction:t")
    send(peer, b"y", "transaction:t")
    broker.clock.advance(2)
    assert peer.octets() == b""
    peer.frame("COMMIT", transaction="t")
    assert peer.bodies() == [b"y"]
    broker.clock.advance(1)
    assert peer.bodies() == [b"x"]


def test_comes_again(broker: StompBroker, peer: Peer) -> None:
    send(
        peer, b"x", "AMQ_SCHEDULED_DELAY:1000", "AMQ_SCHEDULED_PERIOD:500", "AMQ_SCHEDULED_REPEAT:2"
    )
    came = []
    for _ in range(40):
        broker.clock.advance(0.125)
        came.append(len(peer.bodies()))
    assert [number + 1 for number, count in enumerate(came) if count] == [8, 12, 16]
    assert broker.virtual_host.delays.total_count == 0


def test_comes_again_for_ever_over_restarts(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/queue/q", id="s")
    send(peer, b"x", "AMQ_SCHEDULED_PERIOD:1000", "AMQ_SCHEDULED_REPEAT:-1", "persistent:true")
    for _ in range(4):
        broker.clock.advance(1)
    assert peer.bodies() == [b"x"] * 4
    broker.stop()
    broker = StompBroker(tmp_path)
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/queue/q", id="s", ack="client")
    peer.octets()
    broker.clock.advance(20)  # What was missed meanwhile is left out.
    assert len(peer.receive_all()) <= 5
    assert broker.virtual_host.delays.total_count == 1


def test_by_the_calendar(broker: StompBroker, peer: Peer) -> None:
    """It is 22:13:20."""
    send(peer, b"x", "AMQ_SCHEDULED_CRON:*/10 * * * *")
    broker.clock.advance(399)
    assert peer.bodies() == []
    broker.clock.advance(1.5)
    assert peer.bodies() == [b"x"]
    broker.clock.advance(598)
    assert peer.bodies() == []
    broker.clock.advance(2)
    assert peer.bodies() == [b"x"]


@pytest.mark.parametrize(
    "line",
    ["x-rosetta-delay:soon", "AMQ_SCHEDULED_DELAY:-1", "AMQ_SCHEDULED_DELAY:x",
     "AMQ_SCHEDULED_CRON:* *", "AMQ_SCHEDULED_REPEAT:-2", "AMQ_SCHEDULED_PERIOD:1.5"],
)  # fmt: skip
def test_what_is_no_time_is_refused(peer: Peer, line: str) -> None:
    send(peer, b"x", line)
    assert peer.receive().command == "ERROR"


def test_a_delayed_exchange(broker: StompBroker, peer: Peer) -> None:
    broker.virtual_host.declare_exchange(
        ExchangeDeclaration("late", "x-delayed-message", arguments={"x-delayed-type": "fanout"})
    )
    broker.virtual_host.bind(QueueBinding("q", "late", ""))
    peer.send(b"SEND\ndestination:/exchange/late\nx-delay:500\n\nlate\0")
    peer.send(b"SEND\ndestination:/exchange/late\n\nnow\0")
    assert peer.bodies() == [b"now"]
    broker.clock.advance(0.5)
    assert peer.bodies() == [b"late"]
