"""STOMP in a WebSocket: messages in and out, how it ends, and whatever else a peer may send."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from protocols.stomp.codec import encode_frame, split_frames
from protocols.stomp.config import StompConfig
from protocols.stomp.websocket import WebSocketState
from tests.support.stomp_peer import StompBroker, encode, split
from tests.support.websocket_peer import WebSocketPeer

SHARED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StompBroker]:
    broker = StompBroker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture
def peer(broker: StompBroker) -> WebSocketPeer:
    return WebSocketPeer(broker).log_in()


class TestMessages:
    def test_one_message_is_one_frame(self, peer: WebSocketPeer) -> None:
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1", receipt="s")
        assert peer.take() == [b"RECEIPT\nreceipt-id:s\n\n\0\n"]
        peer.send(
            TextMessage(encode("SEND", b"one", destination="/queue/a", receipt="1").decode()),
            TextMessage(encode("SEND", b"two", destination="/queue/a", receipt="2").decode()),
        )
        assert {type(message) for message in peer.messages} == {str}
        frames = [split(message) for message in peer.take()]
        assert {rest for _, rest in frames} == {b""}
        assert sorted(frame.command for frame, _ in frames) == ["MESSAGE"] * 2 + ["RECEIPT"] * 2

    def test_a_message_may_hold_several_frames_and_a_frame_several_messages(
        self, broker: StompBroker, peer: WebSocketPeer
    ) -> None:
        one = encode("SEND", b"one", destination="/queue/a")
        two = encode("SEND", b"two", destination="/queue/a")
        peer.send(BytesMessage(one + b"\n" + two[:9]), TextMessage(two[9:].decode()))
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1")
        assert peer.bodies() == [b"one", b"two"]

    def test_fragments(self, peer: WebSocketPeer) -> None:
        peer.send(
            TextMessage("SEND\ndestination:/que", message_finished=False),
            Ping(b"in between"),
            TextMessage("ue/a\n\nwh\N{EURO SIGN}", message_finished=False),
            TextMessage("le\0", message_finished=True),
        )
        assert peer.pongs == [b"in between"]
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1")
        assert peer.bodies() == ["wh\N{EURO SIGN}le".encode()]

    def test_what_is_no_text_comes_as_binary(self, peer: WebSocketPeer) -> None:
        peer.frame("SEND", b"\xff\0\n", destination="/queue/a", content_length="3")
        peer.frame("SEND", b"text", destination="/queue/a")
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1")
        assert [type(message) for message in peer.messages] == [bytes, str]
        assert peer.bodies() == [b"\xff\0\n", b"text"]

    def test_all_may_be_binary(self, tmp_path: Path) -> None:
        broker = StompBroker(tmp_path, StompConfig(websocket_frame="binary"))
        peer = WebSocketPeer(broker).open()
        peer.frame("CONNECT")
        assert [type(message) for message in peer.messages] == [bytes]
        broker.stop()

    def test_one_read_is_one_append(
        self, broker: StompBroker, peer: WebSocketPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        appends = []
        publish = broker.virtual_host.intake.publish
        monkeypatch.setattr(
            broker.virtual_host.intake,
            "publish",
            lambda items, done: (appends.append(len(items)), publish(items, done))[1],
        )
        peer.frame("SEND", b"x", destination="/queue/a")
        peer.send(*[BytesMessage(encode("SEND", b"x", destination="/queue/a"))] * 10)
        assert appends == [1, 10]

    def test_heart_beats_are_messages(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker).log_in(heart_beat="1000,1000")
        for _ in range(5):
            broker.clock.advance(0.5)
            peer.send(TextMessage("\n"))
        assert set(peer.take()) == {b"\n"}
        broker.clock.pump([0.5] * 6)
        peer.listen()
        assert peer.closed == (1000, "STOMP died")

    @pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 3_000_000])
    @pytest.mark.parametrize("deflate", [False, True])
    def test_sizes(self, broker: StompBroker, size: int, deflate: bool) -> None:
        peer = WebSocketPeer(broker, deflate=deflate).log_in()
        assert bool(peer.accepted and peer.accepted.extensions) is deflate
        body = bytes(range(256)) * (size // 256 + 1)
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1")
        peer.frame("SEND", body[:size], destination="/queue/a", content_length=str(size))
        assert peer.bodies() == [body[:size]]

    def test_short_messages_are_not_deflated(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker, deflate=True).open()
        peer.protocol.dataReceived(peer.websocket.send(TextMessage("CONNECT\n\n\0")))
        assert b"CONNECTED\n" in peer.wire.value()


class TestEnds:
    def test_disconnect(self, peer: WebSocketPeer) -> None:
        peer.frame("DISCONNECT", receipt="bye")
        assert peer.take() == [b"RECEIPT\nreceipt-id:bye\n\n\0\n"]
        assert peer.closed == (1000, "STOMP died")
        assert not peer.hung_up
        peer.send(CloseConnection(1000))
        assert peer.hung_up

    def test_a_close_that_nobody_answers(self, broker: StompBroker, peer: WebSocketPeer) -> None:
        peer.frame("DISCONNECT")
        broker.clock.pump([0, 1.9])
        assert not peer.hung_up
        peer.send_octets(b"\x81\x81\0\0\0\0x" + b"\x89\x80\0\0\0\0")
        broker.clock.advance(0.2)
        assert peer.hung_up
        assert peer.pongs == []

    def test_what_is_no_stomp(self, peer: WebSocketPeer) -> None:
        peer.frame("SEND", receipt="1", destination="/queue/a")
        peer.send(TextMessage("SEND\nno colon\n\n\0"))
        assert peer.take() == [b"RECEIPT\nreceipt-id:1\n\n\0\n"]
        assert peer.closed == (1007, "a header line has no colon")

    def test_a_refusal_goes_before_the_close(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker).open()
        peer.frame("CONNECT", login="guest", passcode="wrong")
        (error,) = peer.take()
        assert error.startswith(b"ERROR\nmessage:Bad CONNECT\n")
        assert peer.closed == (1000, "STOMP died")

    def test_the_peer_closes(self, broker: StompBroker, peer: WebSocketPeer) -> None:
        other = WebSocketPeer(broker).log_in()
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1", ack="client")
        other.frame("SEND", b"x", destination="/queue/a")
        assert peer.bodies() == [b"x"]
        peer.send(
            BytesMessage(encode("SEND", b"y", destination="/queue/b")),
            CloseConnection(4000, "enough"),
        )
        assert peer.closed == (4000, "enough")
        assert peer.hung_up
        other.frame("SUBSCRIBE", destination="/queue/a", id="1")
        other.frame("SUBSCRIBE", destination="/queue/b", id="2")
        assert other.bodies() == [b"x", b"y"]

    def test_a_lost_connection_gives_back(self, broker: StompBroker, peer: WebSocketPeer) -> None:
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1", ack="client")
        peer.protocol.connectionLost()
        assert broker.virtual_host.queues["a"].consumer_count == 0

    def test_the_broker_stops(self, broker: StompBroker, peer: WebSocketPeer) -> None:
        stranger = WebSocketPeer(broker)
        broker.websocket_factory.shut_down()
        (error,) = peer.take()
        assert error.startswith(b"ERROR\nmessage:connection_forced\n")
        assert peer.closed == (1000, "STOMP died")
        assert stranger.hung_up

    @pytest.mark.parametrize(
        ("octets", "code"),
        [
            (b"\x81\x03abc", 1002),  # Not masked.
            (b"\x83\x80\0\0\0\0", 1002),  # An opcode that there is not.
            (b"\xc1\x80\0\0\0\0", 1002),  # Deflated, which was not agreed on.
            (b"\x80\x80\0\0\0\0", 1002),  # The continuation of nothing.
            (b"\x81\x81\0\0\0\0\xff", 1007),  # Text that is none.
            (b"\x88\x81\0\0\0\0\x03", 1002),  # Half a close code.
        ],
    )
    def test_what_is_no_websocket(
        self, broker: StompBroker, peer: WebSocketPeer, octets: bytes, code: int
    ) -> None:
        peer.send_octets(octets)
        assert peer.closed
        assert peer.closed[0] == code
        peer.send_octets(b"whatever" * 1_000)
        broker.clock.pump([0, 2.1])
        assert peer.hung_up


class TestLimits:
    def test_a_message_is_no_larger_than_a_frame(self, tmp_path: Path) -> None:
        broker = StompBroker(tmp_path, StompConfig(max_frame_size=1_000))
        peer = WebSocketPeer(broker).log_in()
        peer.send(TextMessage("\n" * 1_002))
        assert peer.closed is None
        peer.send(
            TextMessage("\n" * 600, message_finished=False),
            TextMessage("\n" * 600, message_finished=True),
        )
        assert peer.closed == (1009, "a message is larger than a frame may be")
        broker.stop()

    def test_nor_is_a_deflated_one(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker, deflate=True).log_in()
        peer.send(TextMessage("\n" * 3_000_000), TextMessage("\n" * 3_000_000))
        assert peer.closed is None
        peer.send(TextMessage("\n" * 60_000_000))
        assert peer.closed
        assert peer.closed[0] == 1009

    def test_it_is_small_before_login(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker).open()
        peer.send(TextMessage("CONNECT\nx:" + "y" * 70_000))
        assert peer.closed
        assert peer.closed[0] == 1009

    def test_but_not_after_a_login_in_the_same_read(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker).open()
        peer.send(
            TextMessage("CONNECT\n\n\0"),
            TextMessage("SEND\ndestination:/queue/a\nreceipt:1\n\n" + "y" * 70_000 + "\0"),
        )
        assert [split(message)[0].command for message in peer.take()] == ["CONNECTED", "RECEIPT"]

    def test_a_peer_that_does_not_read_gets_nothing_more(
        self, broker: StompBroker, peer: WebSocketPeer
    ) -> None:
        peer.frame("SUBSCRIBE", destination="/queue/a", id="1")
        peer.protocol.pauseProducing()
        broker.connect().frame("SEND", b"x", destination="/queue/a")
        assert peer.take() == []
        peer.protocol.resumeProducing()
        assert peer.bodies() == [b"x"]


def test_a_ping_between_deflated_fragments(broker: StompBroker) -> None:
    peer = WebSocketPeer(broker, deflate=True).log_in()
    peer.send(
        TextMessage("SEND\ndestination:/queue/a\n\n" + "abc" * 1_000, message_finished=False),
        Ping(b"!"),
        TextMessage("def" * 1_000 + "\0"),
    )
    assert peer.pongs == [b"!"]
    peer.frame("SUBSCRIBE", destination="/queue/a", id="1")
    assert peer.bodies() == [b"abc" * 1_000 + b"def" * 1_000]


FRAMES = st.one_of(
    st.just(b"\n"),
    st.builds(
        encode_frame,
        st.sampled_from(["MESSAGE", "RECEIPT", "ERROR"]),
        st.lists(st.tuples(st.text(min_size=1, max_size=4), st.text(max_size=8)), min_size=1),
        st.one_of(st.sampled_from([b"", b"\0\n", b"\n\n", b"\n"]), st.binary(max_size=40)),
    ),
)


@given(frames=st.lists(FRAMES, max_size=8))
@example(frames=[b"\n", b"ERROR\nx:content-length\n\n\0\n", b"ERROR\nx:content-length:\n\n\0\n"])
def test_what_we_write_is_cut_into_its_frames(frames: list[bytes]) -> None:
    assert list(split_frames(b"".join(frames))) == frames


def cut(octets: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(at % (len(octets) + 1) for at in cuts), len(octets)]
    return [octets[start:end] for start, end in pairwise(edges) if start < end]


@SHARED
@given(
    deflate=st.booleans(),
    bodies=st.lists(st.text(max_size=300).map(lambda t: t.replace("\0", "")), max_size=5),
    cuts=st.lists(st.integers(min_value=0), max_size=12),
    wire_cuts=st.lists(st.integers(min_value=0), max_size=12),
)
def test_where_the_octets_are_cut_never_matters(
    shared: StompBroker, deflate: bool, bodies: list[str], cuts: list[int], wire_cuts: list[int]
) -> None:
    peer = WebSocketPeer(shared, deflate=deflate)
    for piece in cut(peer.request(), wire_cuts):
        peer.send_octets(piece)
    assert peer.accepted
    octets = b"CONNECT\n\n\0SUBSCRIBE\ndestination:/topic/cut\nid:0\n\n\0"
    for body in bodies:
        octets += encode("SEND", body.encode(), destination="/topic/cut")
    messages = [peer.websocket.send(BytesMessage(piece)) for piece in cut(octets, cuts)]
    for piece in cut(b"".join(messages), wire_cuts):
        peer.send_octets(piece)
    connected, *received = peer.take()
    assert connected.startswith(b"CONNECTED\n")
    assert [split(message)[0].body.decode() for message in received] == bodies
    peer.send(CloseConnection(1000))
    assert peer.hung_up
    peer.protocol.connectionLost()


@SHARED
@given(
    deflate=st.booleans(),
    opened=st.booleans(),
    pieces=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=60),
            st.builds(
                lambda first, payload: bytes([first, 0x80 | len(payload)]) + b"\0\0\0\0" + payload,
                st.sampled_from([0x81, 0xC1, 0x01, 0x41, 0x80, 0x00, 0x82, 0x88, 0x89, 0xC9, 0x8A]),
                st.one_of(
                    st.binary(max_size=100),
                    st.sampled_from([b"CONNECT\n\n\0", b"\n", b"SEND\n\nx\0", b"\x03\xe8"]),
                ),
            ),
        ),
        max_size=10,
    ),
)
def test_junk(shared: StompBroker, deflate: bool, opened: bool, pieces: list[bytes]) -> None:
    """Without a transport, which would log and forget what goes wrong."""
    peer = WebSocketPeer(shared, deflate=deflate)
    connection = peer.protocol._connection
    if opened:
        peer.open()
    for piece in pieces:
        connection.receive_data(piece, 0.0)
        shared.gateway.turn.end()
        connection.data_to_send()
        assert connection.closed is (connection.state is WebSocketState.CLOSED)
        if connection.closed:
            break
    connection.connection_lost()
    assert connection.closed
