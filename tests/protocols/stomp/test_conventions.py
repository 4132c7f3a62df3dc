"""What clients of ActiveMQ and Artemis say, in the personality of RabbitMQ."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import Peer, StompBroker, encode, send

PROCESSING_ERROR = error("Processing error", "Processing error")


def subscribe(peer: Peer, destination: str, id: str = "0", /, **headers: str) -> None:
    """An underscore stands for a hyphen, two of them for a dot."""
    lines = [f"destination:{destination}", f"id:{id}"]
    for name, value in headers.items():
        name = name.replace("__", ".").replace("_", "-")
        lines.append(f"{name}:{value}")
    peer.send(("SUBSCRIBE\n" + "\n".join(lines) + "\n\n\0").encode())


class TestSelectors:
    def test_what_is_not_selected_stays_for_others(self, broker: StompBroker) -> None:
        choosy, other = broker.connect(), broker.connect()
        subscribe(choosy, "/queue/q", selector="colour = 'red' AND weight > 9")
        for number, colour in enumerate(("red", "blue", "red")):
            send(choosy, "/queue/q", b"%d" % number, colour=colour, weight="10")
        assert choosy.bodies() == [b"0", b"2"]
        subscribe(other, "/queue/q")
        assert other.bodies() == [b"1"]

    @pytest.mark.parametrize("ack", ["auto", "client", "client-individual"])
    def test_what_a_topic_brings_and_is_not_selected_is_dropped(
        self, broker: StompBroker, ack: str
    ) -> None:
        peer = broker.connect()
        subscribe(peer, "/topic/t", selector="n < 5", ack=ack, x_queue_name="own")
        queue = broker.virtual_host.queues["own"]
        peer.send(
            b"".join(
                encode("SEND", b"%d" % n, destination="/topic/t", n=str(n))
                for n in (1, 7, 8, 2, 9, 3)
            )
        )
        messages = peer.receive_all()
        assert [message.body for message in messages] == [b"1", b"2", b"3"]
        assert queue.unsettled_count == (0 if ack == "auto" else 3)
        assert queue.ready_count == 0
        if ack == "client":
            peer.frame("ACK", id=messages[-1].headers["ack"])
            assert queue.unsettled_count == 0

    def test_a_wrong_one_is_refused(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/q", selector="colour = = 'red'")
        assert peer.receive().headers["message"] == "Invalid selector"
        assert not peer.hung_up

    @pytest.mark.parametrize("destination", ["/queue/q", "/topic/t"])
    def test_an_empty_one_selects_everything(self, broker: StompBroker, destination: str) -> None:
        peer = broker.connect()
        subscribe(peer, destination, selector=" ")
        send(peer, destination, b"m")
        assert peer.bodies() == [b"m"]


class TestDurableSubscriptions:
    @pytest.mark.parametrize(
        "name",
        ["durable-subscription-name", "durable-subscriber-name", "activemq.subscriptionName"],
    )
    def test_they_collect_while_nobody_reads(self, tmp_path: Path, name: str) -> None:
        header = {name.replace(".", "__"): "news"}
        broker = StompBroker(tmp_path)
        peer = broker.connect(client_id="me")
        subscribe(peer, "/topic/t", **header)
        peer.frame("DISCONNECT")
        send(broker.connect(), "/topic/t", b"kept", persistent="true")
        broker.stop()
        broker = StompBroker(tmp_path)
        assert broker.virtual_host.queues["me.news"].durable
        peer = broker.connect(client_id="me")
        subscribe(peer, "/topic/t", **header)
        assert peer.bodies() == [b"kept"]
        peer.frame("UNSUBSCRIBE", id="0", **{name: "news"})
        assert "me.news" not in broker.virtual_host.queues
        assert peer.octets() == b""

    def test_one_may_be_deleted_by_its_name_alone(self, broker: StompBroker) -> None:
        peer = broker.connect(client_id="me")
        subscribe(peer, "/topic/t", durable_subscription_name="news")
        peer.frame("UNSUBSCRIBE", id="0")
        assert "me.news" in broker.virtual_host.queues
        peer.frame("UNSUBSCRIBE", durable_subscription_name="news")
        assert "me.news" not in broker.virtual_host.queues
        assert peer.octets() == b""

    def test_one_reader_at_a_time(self, broker: StompBroker) -> None:
        for number in range(2):
            peer = broker.connect(client_id="me")
            subscribe(peer, "/topic/t", durable_subscription_name="news")
            assert (b"access_refused" in peer.octets()) == (number == 1)

    def test_with_another_topic_it_is_another(self, broker: StompBroker) -> None:
        peer = broker.connect(client_id="me")
        subscribe(peer, "/topic/old", durable_subscription_name="news")
        peer.frame("UNSUBSCRIBE", id="0")
        send(peer, "/topic/old", b"old")
        subscribe(peer, "/topic/new", durable_subscription_name="news")
        send(peer, "/topic/old", b"old")
        send(peer, "/topic/new", b"new")
        assert peer.bodies() == [b"new"]

    def test_a_client_without_id_has_none(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/topic/t", durable_subscription_name="news")
        assert peer.receive().headers["message"] == "Missing Header"
        assert not peer.hung_up


class TestHeaders:
    def test_expires_is_a_time(self, broker: StompBroker) -> None:
        broker.clock.advance(1_000)
        peer = broker.connect()
        for _ in range(3):
            send(peer, "/queue/q", b"soon", expires="1002000")
            broker.clock.advance(0.1)
        send(peer, "/queue/q", b"never", expires="0")
        subscribe(peer, "/queue/q", ack="client")
        *soon, never = peer.receive_all()
        assert [each.headers["expiration"] for each in soon] == ["2000", "1900", "1800"]
        assert (soon[0].headers["expires"], never.headers["expires"]) == ("1002000", "0")
        peer.lose()
        broker.clock.advance(1.75)
        peer = broker.connect()
        subscribe(peer, "/queue/q")
        assert peer.bodies() == [b"never"]

    def test_expires_is_past_or_no_number(self, broker: StompBroker) -> None:
        broker.clock.advance(1_000)
        peer = broker.connect()
        send(peer, "/queue/q", b"late", expires="1000")
        subscribe(peer, "/queue/q")
        assert peer.octets() == b""
        send(peer, "/queue/q", b"wrong", expires="x")
        assert peer.octets() == PROCESSING_ERROR

    def test_routing_types_of_bare_names(self, tmp_path: Path) -> None:
        broker = StompBroker(tmp_path)
        peer = broker.connect()
        subscribe(peer, "orders", subscription_type="MULTICAST")
        send(peer, "orders", b"topic", destination_type="MULTICAST")
        message = peer.receive()
        assert message.headers["destination"] == "/topic/orders"
        assert message.headers["destination-type"] == "MULTICAST"
        for _ in range(2):
            send(peer, "orders", b"queue", destination_type="ANYCAST", persistent="true")
        send(peer, "orders", b"?", destination_type="BOTH")
        assert peer.octets() == PROCESSING_ERROR
        broker.stop()
        peer = StompBroker(tmp_path).connect()
        subscribe(peer, "orders", subscription_type="ANYCAST")
        assert peer.bodies() == [b"queue", b"queue"]

    @pytest.mark.parametrize(
        ("headers", "count"),
        [
            ({"activemq__prefetchSize": "2"}, 2),
            ({"activemq__prefetchSize": "2", "prefetch_count": "3"}, 3),
            ({"consumer_window_size": "0"}, 1),
            ({"consumer_window_size": "10000"}, 4),
        ],
    )
    def test_prefetch(self, broker: StompBroker, headers: dict[str, str], count: int) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/q", ack="client", **headers)
        for _ in range(4):
            send(peer, "/queue/q", b"m")
        assert len(peer.bodies()) == count

    @pytest.mark.parametrize("name", ["activemq__priority", "x_priority"])
    def test_priority_of_a_consumer(self, broker: StompBroker, name: str) -> None:
        first, second = broker.connect(), broker.connect()
        subscribe(first, "/queue/q")
        subscribe(second, "/queue/q", **{name: "5"})
        for _ in range(3):
            send(first, "/queue/q", b"m")
        assert (first.bodies(), second.bodies()) == ([], [b"m"] * 3)

    def test_exclusive_consumers_stand_in_line(self, broker: StompBroker) -> None:
        plain, first, second = (broker.connect() for _ in range(3))
        subscribe(plain, "/queue/q")
        for peer in (first, second):
            subscribe(peer, "/queue/q", activemq__exclusive="true")
        for expected in (first, second, plain):
            send(plain, "/queue/q", b"m")
            assert expected.bodies() == [b"m"]
            expected.lose()

    def test_others_are_the_applications_own(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/q", activemq__noLocal="true", transformation="jms-map-json")
        send(peer, "/queue/q", b"m", JMSXGroupID="g", amq_msg_type="text")
        headers = peer.receive().headers
        assert (headers["JMSXGroupID"], headers["amq-msg-type"]) == ("g", "text")
