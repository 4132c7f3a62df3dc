"""The personality `activemq`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.policies.policies import Policy
from protocols.stomp.config import StompConfig
from tests.support.stomp_peer import BuryingBroker, StompBroker, send, subscribe

CONFIG = StompConfig(personality="activemq")


@pytest.fixture
def broker(tmp_path: Path) -> StompBroker:
    return StompBroker(tmp_path, CONFIG)


def test_names_may_have_slashes(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path, CONFIG)
    peer = broker.connect()
    send(peer, "/queue/a/b", b"m", persistent="true")
    send(peer, "/queue/a/b", b"m", persistent="true")
    assert broker.virtual_host.queues["a/b"].ready_count == 2
    broker.stop()
    peer = StompBroker(tmp_path, CONFIG).connect()
    subscribe(peer, "/queue/a/b")
    first, second = peer.receive_all()
    assert first.headers["destination"] == second.headers["destination"] == "/queue/a/b"


def test_wildcards(broker: StompBroker) -> None:
    peer = broker.connect()
    subscribe(peer, "/topic/a.>", "all")
    subscribe(peer, "/topic/a.*.c", "some")
    send(peer, "/topic/a.b.c", b"m")
    send(peer, "/topic/a.b.d", b"m")
    shown = sorted(frame.headers["subscription"] for frame in peer.receive_all())
    assert shown == ["all", "all", "some"]
    subscribe(peer, "/queue/a.>", "queue")
    assert peer.receive().headers["message"] == "Invalid destination"


def test_temporary_queues(broker: StompBroker) -> None:
    peer, other = broker.connect(), broker.connect()
    subscribe(peer, "/temp-queue/x")
    subscribe(other, "/queue/q")
    send(peer, "/temp-queue/x", b"to myself")
    send(peer, "/queue/q", b"question", reply_to="/temp-queue/x")
    assert peer.bodies() == [b"to myself"]
    send(other, other.receive().headers["reply-to"], b"answer")
    answer = peer.receive()
    assert (answer.body, answer.headers["subscription"]) == (b"answer", "0")
    assert len(broker.virtual_host.queues) == 2
    peer.lose()
    assert list(broker.virtual_host.queues) == ["q"]


def test_temporary_topics(broker: StompBroker) -> None:
    peer, other = broker.connect(), broker.connect()
    subscribe(peer, "/temp-topic/x")
    subscribe(other, "/temp-topic/x")
    subscribe(other, "/queue/q", "q")
    send(peer, "/queue/q", b"question", reply_to="/temp-topic/x")
    send(other, other.receive().headers["reply-to"], b"answer")
    assert (peer.bodies(), other.bodies()) == ([b"answer"], [])


def test_composite_destinations(broker: StompBroker) -> None:
    peer = broker.connect()
    subscribe(peer, "/topic/t")
    send(peer, "/queue/a,/topic/t, /queue/b/c", b"m", receipt="r")
    receipt, message = peer.receive_all()
    assert (message.body, receipt.headers) == (b"m", {"receipt-id": "r"})
    queues = broker.virtual_host.queues
    assert [queues[name].ready_count for name in ("a", "b/c")] == [1, 1]
    peer.frame("BEGIN", transaction="t")
    send(peer, "/queue/a,/queue/b/c", b"m", transaction="t")
    peer.frame("COMMIT", transaction="t")
    assert [queues[name].ready_count for name in ("a", "b/c")] == [2, 2]


def test_options_of_a_destination(broker: StompBroker) -> None:
    peer = broker.connect()
    subscribe(peer, "/queue/q?consumer.prefetchSize=1&consumer.priority=3", ack="client")
    send(peer, "/queue/q", b"1")
    send(peer, "/queue/q", b"2")
    assert peer.bodies() == [b"1"]


def test_what_has_no_prefix_is_a_queue(broker: StompBroker) -> None:
    peer = broker.connect()
    for name in ("bare", "/foo/x"):
        send(peer, name, b"m", receipt="r")
        assert peer.receive().headers == {"receipt-id": "r"}
        assert broker.virtual_host.queues[name].ready_count == 1
        subscribe(peer, name, name)
        assert peer.receive().headers["destination"] == f"/queue/{name}"


def test_what_is_no_destination(broker: StompBroker) -> None:
    peer = broker.connect()
    send(peer, "", b"m", receipt="r")
    refused = peer.receive()
    assert refused.body == b"Destination cannot be blank"
    assert refused.headers["receipt-id"] == "r"
    assert not peer.hung_up


def test_an_error_ends_nothing(broker: StompBroker) -> None:
    peer = broker.connect()
    send(peer, "/exchange/none/k", b"m", receipt="r")
    refused = peer.receive()
    assert (refused.headers["message"], refused.headers["receipt-id"]) == ("not_found", "r")
    peer.frame("BEGIN", transaction="t", receipt="s")
    assert peer.receive().headers == {"receipt-id": "s"}


def test_an_ack_covers_its_own_subscription(broker: StompBroker) -> None:
    peer = broker.connect()
    subscribe(peer, "/queue/a", "a", ack="client")
    subscribe(peer, "/queue/b", "b", ack="client")
    for _ in range(2):
        send(peer, "/queue/a", b"m")
        send(peer, "/queue/b", b"m")
    last_of_b = peer.receive_all()[-1]
    assert last_of_b.headers["subscription"] == "b"
    peer.frame("ACK", id=last_of_b.headers["ack"])
    queues = broker.virtual_host.queues
    assert (queues["a"].unsettled_count, queues["b"].unsettled_count) == (2, 0)


def test_a_nack_rejects(broker: StompBroker) -> None:
    peer = broker.connect()
    subscribe(peer, "/queue/a", ack="client")
    send(peer, "/queue/a", b"m")
    peer.frame("NACK", id=peer.receive().headers["ack"])
    assert broker.virtual_host.queues["a"].unsettled_count == 0
    assert peer.octets() == b""


def test_a_host_is_the_machine(broker: StompBroker) -> None:
    assert broker.connect(host="broker.example").session


def test_spaces_of_stomp_1_0(broker: StompBroker) -> None:
    peer = broker.connect("1.0")
    peer.send(b"SEND\ndestination: /queue/a/b\npersistent: true\n\nm\0")
    subscribe(peer, " /queue/a/b", receipt=" r")
    receipt, message = peer.receive_all()
    assert (message.body, message.headers["destination"]) == (b"m", "/queue/a/b")
    assert receipt.headers == {"receipt-id": "r"}


def test_a_policy_makes_a_queue_of_dead_letters(tmp_path: Path) -> None:
    """As docs/protocols/stomp.md has it for whoever expects `ActiveMQ.DLQ`."""
    broker = BuryingBroker(tmp_path, CONFIG)
    definition = {"dead-letter-exchange": "", "dead-letter-routing-key": "ActiveMQ.DLQ"}
    broker.virtual_host.policies.put("policy", Policy("dlq", r"^(?!ActiveMQ\.DLQ$)", definition))
    peer = broker.connect()
    subscribe(peer, "/queue/ActiveMQ.DLQ", "dlq", ack="client")
    subscribe(peer, "/queue/a", ack="client")
    send(peer, "/queue/a", b"m")
    peer.frame("NACK", id=peer.receive().headers["ack"])
    dead = peer.receive()
    assert (dead.headers["subscription"], dead.body) == ("dlq", b"m")
    assert dead.headers["x-first-death-queue"] == "a"
    peer.frame("NACK", id=dead.headers["ack"])
    assert peer.octets() == b""
