"""Streams through STOMP: the same readers, asked for by headers."""

from __future__ import annotations

import pytest

from tests.support.stomp_peer import Peer, StompBroker, send, subscribe

STREAM = {"x_queue_type": "stream", "ack": "client-individual", "prefetch_count": "10"}


@pytest.fixture
def peer(broker: StompBroker) -> Peer:
    peer = broker.connect()
    for number in range(6):
        value = {"x_stream_filter_value": "ab"[number % 2]} if number < 4 else {}
        send(peer, "/queue/s", b"%d" % number, x_queue_type="stream", **value)
    assert peer.receive_all() == []
    return peer


def read(peer: Peer, identifier: str = "0", **headers: str) -> list[tuple[str, bytes]]:
    options = {f"x_stream_{name}": value for name, value in headers.items()}
    subscribe(peer, "/queue/s", identifier, **STREAM, **options)
    return [(frame.headers["x-stream-offset"], frame.body) for frame in peer.receive_all()]


@pytest.mark.parametrize(
    ("offset", "first"),
    [("first", 0), ("last", 5), ("next", 6), ("offset=3", 3), ("timestamp=0", 0), ("5", 6)],
)
def test_where_a_subscription_begins(peer: Peer, offset: str, first: int) -> None:
    expected = [(str(number), b"%d" % number) for number in range(first, 6)]
    assert read(peer, offset=offset) == expected


def test_acknowledgements_give_credit(peer: Peer) -> None:
    subscribe(peer, "/queue/s", **{**STREAM, "prefetch_count": "1"}, x_stream_offset="first")
    first = peer.receive()
    assert first.body == b"0"
    peer.frame("ACK", id=first.headers["ack"])
    second = peer.receive()
    assert (second.body, second.headers["redelivered"]) == (b"1", "false")
    peer.frame("NACK", id=second.headers["ack"])
    assert peer.receive().body == b"2"


def test_filters(peer: Peer) -> None:
    wanted = read(peer, offset="first", filter="b,c", match_unfiltered="true")
    assert [body for _, body in wanted] == [b"1", b"3", b"4", b"5"]


def test_the_stream_s_own_offset_comes_first(peer: Peer) -> None:
    """A publisher may have set a header of that name: the first of two counts."""
    send(peer, "/queue/s", b"6", x_queue_type="stream", x_stream_offset="mine")
    assert read(peer, offset="last") == [("6", b"6")]


@pytest.mark.parametrize(
    ("options", "message", "text"),
    [
        (
            {"ack": "auto"},
            "precondition_failed",
            "PRECONDITION_FAILED - consumer prefetch count is not set for stream",
        ),
        (
            {"x_priority": "1"},
            "precondition_failed",
            "PRECONDITION_FAILED - invalid arg 'x-priority' for",
        ),
    ],
)
def test_what_cannot_be_subscribed(
    peer: Peer, options: dict[str, str], message: str, text: str
) -> None:
    subscribe(peer, "/queue/s", **{**STREAM, **options})
    (error,) = peer.receive_all()
    assert (error.command, error.headers["message"]) == ("ERROR", message)
    assert error.body.decode().startswith(text)


def test_the_priority_of_a_consumer(broker: StompBroker) -> None:
    low, high = broker.connect(), broker.connect()
    subscribe(low, "/queue/q")
    subscribe(high, "/queue/q", x_priority="5")
    send(low, "/queue/q", b"1", b"2")
    assert [frame.body for frame in high.receive_all()] == [b"1", b"2"]
