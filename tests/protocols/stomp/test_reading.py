"""Subscriptions that take nothing: `browser`, and `x-rosetta-from`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from gateway.declarations import QueueDeclaration
from protocols.stomp.config import StompConfig
from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import Peer, StompBroker, encode


def fill(peer: Peer, *bodies: bytes, **headers: str) -> None:
    peer.send(b"".join(encode("SEND", body, destination="/queue/q", **headers) for body in bodies))


def read(peer: Peer, start: str, **headers: str) -> None:
    peer.frame("SUBSCRIBE", destination="/queue/q", id="r", x_rosetta_from=start, **headers)


class TestBrowser:
    def test_shows_what_is_ready_and_then_the_end(self, broker: StompBroker) -> None:
        peer, consumer = broker.connect(), broker.connect()
        fill(peer, b"taken", b"1", b"2")
        consumer.frame(
            "SUBSCRIBE", destination="/queue/q", id="0", ack="client", prefetch_count="1"
        )
        assert consumer.bodies() == [b"taken"]
        peer.frame("SUBSCRIBE", destination="/queue/q", id="b", browser="true")
        first, second, end = peer.receive_all()
        assert (first.body, second.body) == (b"1", b"2")
        assert first.headers["subscription"] == "b"
        assert end.headers == {
            "subscription": "b", "destination": "/queue/q", "message-id": "0", "browser": "end",
        }  # fmt: skip
        fill(peer, b"3")
        assert peer.octets() == b""
        assert broker.virtual_host.queues["q"].ready_count == 3
        peer.frame("UNSUBSCRIBE", id="b", receipt="r")
        assert peer.receive().headers == {"receipt-id": "r"}

    @pytest.mark.parametrize(
        ("personality", "destination"),
        [("rabbitmq", "/queue/a%2Fb"), ("activemq", "/queue/a/b")],
    )
    def test_the_end_has_the_destination_of_the_messages(
        self, tmp_path: Path, personality: Literal["rabbitmq", "activemq"], destination: str
    ) -> None:
        peer = StompBroker(tmp_path, StompConfig(personality=personality)).connect()
        peer.frame("SEND", b"m", destination=destination)
        peer.frame("SUBSCRIBE", destination=destination, id="b", browser="true")
        assert [each.headers["destination"] for each in peer.receive_all()] == [destination] * 2

    def test_shows_what_is_selected(self, broker: StompBroker) -> None:
        peer = broker.connect()
        fill(peer, b"1", b"2", colour="red")
        fill(peer, b"3", colour="blue")
        peer.frame(
            "SUBSCRIBE", destination="/queue/q", id="b", browser="true", selector="colour='blue'"
        )
        shown, _end = peer.receive_all()
        assert shown.body == b"3"

    def test_goes_on_when_there_is_room(self, tmp_path: Path) -> None:
        broker = StompBroker(tmp_path, StompConfig(max_output_size=1_000))
        peer = broker.connect()
        fill(peer, *(b"%d" % number * 400 for number in range(9)))
        peer.frame("SUBSCRIBE", destination="/queue/q", id="b", browser="true")
        bodies = [frame.body[:1] for frame in peer.receive_all()]
        assert bodies == [*(b"%d" % number for number in range(9)), b""]

    def test_needs_a_queue_and_an_id(self, broker: StompBroker) -> None:
        peer = broker.connect()
        refused = error(
            "Invalid header", "'browser' needs a queue as its destination, and an 'id'\n"
        )
        peer.frame("SUBSCRIBE", destination="/topic/t", id="b", browser="true")
        assert peer.octets() == refused
        peer.frame("SUBSCRIBE", destination="/queue/q", browser="true")
        assert peer.octets() == refused


class TestReader:
    @pytest.mark.parametrize(
        ("start", "expected"),
        [
            ("first", [b"0", b"1", b"2", b"3"]),
            ("offset=2", [b"2", b"3"]),
            ("offset=99", []),
            ("last", [b"3"]),
            ("next", []),
            ("timestamp=100", [b"2", b"3"]),
        ],
    )
    def test_begins_somewhere_and_goes_on(
        self, broker: StompBroker, start: str, expected: list[bytes]
    ) -> None:
        peer = broker.connect()
        fill(peer, b"0", b"1")
        broker.clock.advance(100)
        fill(peer, b"2", b"3")
        read(peer, start)
        assert peer.bodies() == expected
        if start != "offset=99":
            fill(peer, b"new")
            (message,) = peer.receive_all()
            assert (message.body, message.headers["x-rosetta-offset"]) == (b"new", "4")
        assert broker.virtual_host.queues["q"].ready_count == 4 + (start != "offset=99")

    def test_misses_nothing_of_a_queue_with_priorities(self, broker: StompBroker) -> None:
        broker.virtual_host.declare_queue(
            QueueDeclaration("q", durable=True, arguments={"x-max-priority": 3})
        )
        peer = broker.connect()

        def send(body: bytes, priority: str) -> None:
            peer.frame("SEND", body, destination="/amq/queue/q", priority=priority)

        def reader(start: str) -> Peer:
            reader = broker.connect()
            reader.frame("SUBSCRIBE", destination="/amq/queue/q", id="r", x_rosetta_from=start)
            return reader

        send(b"low", "0")
        send(b"high", "3")
        first = reader("first")
        assert first.bodies() == [b"high", b"low"]
        for body, priority in ((b"later", "0"), (b"middle", "2"), (b"last", "0")):
            send(body, priority)
        assert first.bodies() == [b"later", b"middle", b"last"]
        # Of priority 0; the others begin with their first.
        assert reader("offset=1").bodies() == [b"high", b"middle", b"later", b"last"]
        only_new = reader("next")
        send(b"new", "1")
        assert only_new.bodies() == [b"new"]

    def test_takes_nothing_from_consumers(self, broker: StompBroker) -> None:
        reader, consumer = broker.connect(), broker.connect()
        read(reader, "next")
        consumer.frame("SUBSCRIBE", destination="/queue/q", id="c", ack="client")
        fill(consumer, b"1", b"2")
        assert reader.bodies() == consumer.bodies() == [b"1", b"2"]

    def test_acknowledgements_make_room(self, broker: StompBroker) -> None:
        peer = broker.connect()
        fill(peer, b"1", b"2", b"3")
        read(peer, "first", ack="client-individual", prefetch_count="2")
        first, second = peer.receive_all()
        peer.frame("ACK", id=first.headers["ack"])
        assert peer.bodies() == [b"3"]
        peer.frame("NACK", id=second.headers["ack"])
        assert peer.octets() == b""
        assert broker.virtual_host.queues["q"].ready_count == 3

    def test_reads_what_is_selected(self, broker: StompBroker) -> None:
        peer = broker.connect()
        read(peer, "next", selector="n > 1")
        for n in (1, 2, 1, 3):
            fill(peer, b"%d" % n, n=str(n))
        assert peer.bodies() == [b"2", b"3"]

    def test_ends(self, broker: StompBroker) -> None:
        peer = broker.connect()
        read(peer, "next")
        peer.frame("UNSUBSCRIBE", id="r")
        fill(peer, b"m")
        assert peer.octets() == b""
        read(peer, "next")
        broker.virtual_host.delete_queue("q")
        broker.gateway.turn.end()
        assert peer.receive().headers["message"] == "Server cancelled subscription"

    @pytest.mark.parametrize("start", ["", "second", "offset", "offset=", "offset=-1", "first=1"])
    def test_a_place_that_is_none(self, broker: StompBroker, start: str) -> None:
        peer = broker.connect()
        read(peer, start)
        assert peer.octets() == error("Processing error", "Processing error")


def test_a_topic_is_rewound_on_a_stream(broker: StompBroker) -> None:
    """Whoever names the stream that a topic's subscription made may begin anywhere in it."""
    settings = {
        "x_queue_name": "log", "x_queue_type": "stream", "durable": "true", "ack": "client",
        "auto_delete": "false", "prefetch_count": "100",
    }  # fmt: skip
    first = broker.connect()
    first.frame("SUBSCRIBE", destination="/topic/t.*", id="1", **settings)
    for number in range(3):
        first.frame("SEND", b"%d" % number, destination="/topic/t.x")
    assert len(first.receive_all()) == 3
    first.lose()
    for start, expected in (("first", 3), ("offset=2", 1), ("next", 0)):
        peer = broker.connect()
        settings["x_stream_offset"] = start
        peer.frame("SUBSCRIBE", destination="/topic/t.*", id="1", **settings)
        assert len(peer.bodies()) == expected
