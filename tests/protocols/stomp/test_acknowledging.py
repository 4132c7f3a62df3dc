"""What ACK and NACK do, and are answered."""

import pytest

from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import Peer, StompBroker, encode, send, subscribe


class TestAcknowledgements:
    def received(self, peer: Peer) -> list[tuple[bytes, str]]:
        name = "ack" if "ack" in (frames := peer.receive_all())[0].headers else "message-id"
        return [(frame.body, frame.headers[name]) for frame in frames]

    def test_client_mode_acknowledges_all_before_it(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", "a", ack="client")
        subscribe(peer, "/queue/b", "b", ack="client")
        send(peer, "/queue/a", b"1", b"2")
        send(peer, "/queue/b", b"3")
        send(peer, "/queue/a", b"4")
        acks = dict(self.received(peer))
        peer.frame("ACK", id=acks[b"3"])
        peer.lose()
        queues = broker.virtual_host.queues
        assert (queues["a"].ready_count, queues["b"].ready_count) == (1, 0)

    @pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
    def test_client_individual_acknowledges_one(self, broker: StompBroker, version: str) -> None:
        peer = broker.connect(version)
        subscribe(peer, "/queue/a", ack="client-individual")
        send(peer, "/queue/a", b"1", b"2", b"3")
        acks = dict(self.received(peer))
        name = "id" if version == "1.2" else "message_id"
        peer.frame("ACK", subscription="0", **{name: acks[b"2"]})
        queue = broker.virtual_host.queues["a"]
        assert queue.unsettled_count == 2
        peer.lose()
        other = broker.connect()
        subscribe(other, "/queue/a")
        frames = other.receive_all()
        assert [(f.body, f.headers["redelivered"]) for f in frames] == [
            (b"1", "true"),
            (b"3", "true"),
        ]

    def test_many_acks_in_one_read(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", ack="client-individual")
        send(peer, "/queue/a", *[b"%d" % n for n in range(20)])
        acks = [ack for _, ack in self.received(peer)]
        for chosen in (acks[:1], acks[1:12] + acks[15:18], acks[13:14]):
            peer.send(b"".join(encode("ACK", id=ack, subscription="0") for ack in chosen))
        assert peer.octets() == b""
        assert broker.virtual_host.queues["a"].unsettled_count == 4
        peer.lose()
        other = broker.connect()
        subscribe(other, "/queue/a")
        assert other.bodies() == [b"12", b"14", b"18", b"19"]

    def test_nack_requeues(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", ack="client-individual", prefetch_count="2")
        send(peer, "/queue/a", b"1", b"2", b"3")
        acks = dict(self.received(peer))
        peer.frame("NACK", id=acks[b"1"])
        frame = peer.receive()
        assert (frame.body, frame.headers["redelivered"]) == (b"1", "true")

    def test_nack_without_requeue_drops(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", ack="client")
        send(peer, "/queue/a", b"1", b"2")
        acks = dict(self.received(peer))
        peer.frame("NACK", id=acks[b"2"], requeue="false")
        peer.lose()
        assert broker.virtual_host.queues["a"].ready_count == 0

    @pytest.mark.parametrize("end", ["DISCONNECT", "lost", "error"])
    def test_what_was_not_acknowledged_is_delivered_again(
        self, broker: StompBroker, end: str
    ) -> None:
        peer, other = broker.connect(), broker.connect()
        subscribe(peer, "/queue/a", ack="client")
        send(peer, "/queue/a", b"1", b"2")
        subscribe(other, "/queue/a")
        assert peer.bodies() == [b"1", b"2"]
        if end == "lost":
            peer.lose()
        else:
            peer.frame("DISCONNECT" if end == "DISCONNECT" else "CONNECT")
        assert [(f.body, f.headers["redelivered"]) for f in other.receive_all()] == [
            (b"1", "true"),
            (b"2", "true"),
        ]

    def test_auto_needs_no_ack_and_allows_none(self, broker: StompBroker) -> None:
        peer = broker.connect("1.1")
        subscribe(peer, "/queue/a")
        send(peer, "/queue/a", b"1")
        message = peer.receive()
        assert broker.virtual_host.queues["a"].unsettled_count == 0
        peer.frame("ACK", message_id=message.headers["message-id"], subscription="0")
        detail = "PRECONDITION_FAILED - unknown delivery tag 1"
        assert peer.octets() == error("precondition_failed", detail)
        assert peer.hung_up

    def test_twice_is_once_too_often(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", ack="client-individual")
        send(peer, "/queue/a", b"1", b"2")
        ack = dict(self.received(peer))[b"1"]
        peer.send(encode("ACK", id=ack) * 2)
        assert peer.receive().headers["message"] == "precondition_failed"
        assert peer.hung_up
        assert broker.virtual_host.queues["a"].ready_count == 1

    def test_it_survives_its_subscription(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", ack="client")
        send(peer, "/queue/a", b"1")
        ack = dict(self.received(peer))[b"1"]
        peer.frame("UNSUBSCRIBE", id="0")
        queue = broker.virtual_host.queues["a"]
        assert queue.unsettled_count == 1
        peer.frame("ACK", id=ack, receipt="r")
        assert peer.receive().command == "RECEIPT"
        assert queue.unsettled_count == 0

    @pytest.mark.parametrize("command", ["ACK", "NACK"])
    @pytest.mark.parametrize(("version", "name"), [("1.2", "id"), ("1.1", "message-id")])
    def test_one_that_says_nothing_useful(
        self, broker: StompBroker, command: str, version: str, name: str
    ) -> None:
        peer = broker.connect(version)
        peer.frame(command)
        detail = f'"{command}" must include the "{name}" header\n'
        assert peer.octets() == error("Missing header", detail)
        invalid = f'"{command}" must include a valid "{name}" header\n'
        for value in ("x", "T_0@@other@@1", f"T_0@@{peer.session}@@x"):
            peer.frame(command, **{name: value})
            assert peer.octets() == error("Invalid header", invalid)
        value = f"T_0@@{peer.session}@@1"
        peer.frame(command, **{name: value})
        detail = f'Message with id "{value}" has no subscription'
        assert peer.octets() == error("Subscription not found", detail)
        assert not peer.hung_up
