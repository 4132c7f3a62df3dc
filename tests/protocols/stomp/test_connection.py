"""Login, legal commands, heart-beats, what closes and what does not: exact octets."""

import re
from pathlib import Path

import pytest

from protocols.stomp.config import StompConfig
from protocols.stomp.connection import TRANSITIONS, State
from protocols.stomp.front_end import StompFrontEnd
from protocols.stomp.login import negotiate
from tests.support.stomp_peer import Peer, StompBroker, encode

ERROR_HEAD = "content-type:text/plain\nversion:1.0,1.1,1.2\n"


def error(message: str, body: str, more: str = "") -> bytes:
    head = f"ERROR\nmessage:{message}\n{ERROR_HEAD}{more}content-length:{len(body)}\n\n"
    return f"{head}{body}\0\n".encode()


@pytest.mark.parametrize(
    ("headers", "beat", "version"),
    [
        ("", "0,0", "1.0"),
        ("accept-version:1.0\n", "0,0", "1.0"),
        ("accept-version:1.1,1.0\nhost:/\n", "0,0", "1.1"),
        ("accept-version:1.0,1.1,1.2,2.0\nheart-beat:10000,10000\n", "10000,10000", "1.2"),
        (
            "accept-version:1.2\nheart-beat:500,1500\nlogin:guest\npasscode:guest\n",
            "1000,1000",
            "1.2",
        ),
        ("accept-version:1.2\nheart-beat:0,2999\n", "2000,0", "1.2"),
        ("accept-version: 1.0\nheart-beat: 0,0\nlogin: guest\n", "0,0", "1.0"),
    ],
)
@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_connected(
    broker: StompBroker, command: str, headers: str, beat: str, version: str
) -> None:
    peer = broker.peer()
    peer.send(f"{command}\n{headers}\n\0".encode())
    octets = peer.octets()
    product = broker.gateway.product_version
    expected = rf"CONNECTED\nserver:RosettaMQ/{re.escape(product)}\nsession:session-[\w-]{{22}}\n"
    expected += rf"heart-beat:{beat}\nversion:{version}\n\n\0\n"
    assert re.fullmatch(expected.encode(), octets), octets
    assert not peer.hung_up


@pytest.mark.parametrize(
    ("headers", "message", "body"),
    [
        ("accept-version:2.0\n", "Version mismatch", "Supported versions are 1.0,1.1,1.2\n"),
        ("login:x\npasscode:y\n", "Bad CONNECT", "Access refused for user 'x'"),
        ("passcode:\udcff\n", "Bad CONNECT", "Access refused for user 'guest'"),
        ("host:example\n", "Bad CONNECT", "Virtual host 'example' access denied"),
    ],
)
def test_a_refused_login_hangs_up(
    broker: StompBroker, headers: str, message: str, body: str
) -> None:
    peer = broker.peer()
    peer.send(f"CONNECT\n{headers}\n\0".encode("utf-8", "surrogateescape"))
    assert peer.octets() == error(message, body)
    assert peer.hung_up


def test_guest_comes_from_this_machine_only(broker: StompBroker) -> None:
    peer = broker.peer("192.0.2.1")
    peer.frame("CONNECT")
    assert peer.octets() == error("Bad CONNECT", "non-loopback access denied")
    assert peer.hung_up


def test_a_malformed_heart_beat_is_refused(broker: StompBroker) -> None:
    for text in ("1", "a,b", "1,2,3", ""):
        peer = broker.peer()
        peer.frame("CONNECT", heart_beat=text)
        assert peer.octets() == error("Processing error", "Processing error")
        assert not peer.hung_up


def test_nothing_is_legal_before_connect(broker: StompBroker) -> None:
    peer = broker.peer()
    peer.frame("SEND", b"x", destination="/queue/a")
    assert peer.octets() == error("Illegal command", "You must log in using CONNECT first")
    assert peer.hung_up


def test_a_peer_that_does_not_log_in_is_dropped_in_silence(broker: StompBroker) -> None:
    peer = broker.peer()
    broker.clock.advance(9.9)
    assert not peer.hung_up
    broker.clock.advance(0.2)
    assert peer.hung_up
    assert peer.octets() == b""


def test_a_frame_before_login_is_small(broker: StompBroker) -> None:
    peer = broker.peer()
    peer.send(b"CONNECT\nx:" + b"y" * 70_000)
    assert peer.hung_up
    assert peer.octets() == b""


def test_connecting_twice_hangs_up_in_silence(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.frame("CONNECT")
    assert peer.hung_up
    assert peer.octets() == b""


@pytest.mark.parametrize("octets", [b"SEND\nno colon\n\n\0", b"SEND\na:\\t\n\n\0", b"S\rEND\n\n\0"])
def test_what_is_no_stomp_hangs_up_in_silence(broker: StompBroker, octets: bytes) -> None:
    peer = broker.connect()
    peer.send(encode("SEND", b"before", destination="/queue/a") + octets)
    assert peer.hung_up
    assert peer.octets() == b""
    assert broker.virtual_host.queues["a"].ready_count == 1


def test_a_large_frame_hangs_up(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.send(b"SEND\ndestination:/queue/a\ncontent-length:4194305\n\n")
    assert peer.hung_up


@pytest.mark.parametrize("command", ["WRONGCMD", "CONNECTED", "send"])
def test_an_unknown_command_is_refused(broker: StompBroker, command: str) -> None:
    peer = broker.connect()
    peer.frame(command, receipt="r")
    assert peer.octets() == error("Bad command", f'Could not interpret command "{command}"\n')
    assert not peer.hung_up


def test_frames_in_one_packet_and_in_pieces(broker: StompBroker) -> None:
    peer = broker.connect()
    octets = b"\n" + encode("BEGIN", transaction="1", receipt="a") + b"\n"
    octets += encode("ABORT", transaction="1", receipt="b")
    expected = b"RECEIPT\nreceipt-id:a\n\n\0\nRECEIPT\nreceipt-id:b\n\n\0\n"
    peer.send(octets)
    assert peer.octets() == expected
    for index in range(len(octets)):
        peer.send(octets[index : index + 1])
    assert peer.octets() == expected


def test_disconnect_answers_its_receipt_and_hangs_up(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.send(encode("DISCONNECT", receipt="a:b") + encode("SEND", b"x", destination="/queue/a"))
    assert peer.octets() == b"RECEIPT\nreceipt-id:a\\cb\n\n\0\n"
    assert peer.hung_up
    assert "a" not in broker.virtual_host.queues


def test_disconnect_is_answered_when_all_is_stored(broker: StompBroker) -> None:
    peer = broker.connect()
    broker.disk.held = True
    peer.frame("SEND", b"x", destination="/queue/a", persistent="true", receipt="1")
    peer.frame("DISCONNECT", receipt="2")
    assert peer.octets() == b""
    assert not peer.hung_up
    broker.disk.release()
    assert [frame.headers for frame in peer.receive_all()] == [
        {"receipt-id": "1"},
        {"receipt-id": "2"},
    ]
    assert peer.hung_up


class TestHeartBeats:
    def test_the_broker_beats_while_it_says_nothing_else(self, broker: StompBroker) -> None:
        peer = broker.connect(heart_beat="0,10000")
        peer.octets()
        broker.clock.advance(5)  # CONNECTED was sent meanwhile.
        assert peer.octets() == b""
        broker.clock.advance(5)
        assert peer.octets() == b"\n"
        broker.clock.pump([5] * 4)
        assert peer.octets() == b"\n" * 4

    def test_a_silent_client_is_dropped(self, broker: StompBroker) -> None:
        peer = broker.connect(heart_beat="1000,0")
        for _ in range(10):
            broker.clock.advance(2)
            peer.send(b"\n")
        assert not peer.hung_up
        broker.clock.advance(2.4)
        assert not peer.hung_up
        broker.clock.advance(0.2)
        assert peer.hung_up
        assert peer.octets() == b""

    def test_a_client_that_is_not_read_is_not_silent(self, broker: StompBroker) -> None:
        """Who does not read is not read from: its beats wait in the socket."""
        peer = broker.connect(heart_beat="1000,0")
        peer.protocol.pauseProducing()
        broker.clock.pump([3] * 5)
        assert not peer.hung_up
        peer.protocol.resumeProducing()
        broker.clock.advance(2)
        assert not peer.hung_up
        broker.clock.pump([3] * 2)
        assert peer.hung_up

    def test_none_means_none(self, broker: StompBroker) -> None:
        peer = broker.connect()
        broker.clock.advance(1_000_000)
        assert peer.octets() == b""
        assert not peer.hung_up


def test_shutting_down_is_said(broker: StompBroker) -> None:
    peer, stranger = broker.connect(), broker.peer()
    broker.factory.shut_down()
    body = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    assert peer.octets() == error("connection_forced", body)
    assert peer.hung_up
    assert stranger.octets() == b""
    assert stranger.hung_up


def test_a_lost_connection_is_forgotten(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.lose()
    broker.factory.shut_down()
    assert peer.octets() == b""


def test_the_plug_in(broker: StompBroker) -> None:
    config = StompConfig(port=1, websocket_port=2)
    front_end = StompFrontEnd(broker.gateway, config, broker.clock)
    listeners = [(listener.name, listener.port, listener.tls) for listener in front_end.listeners()]
    assert listeners == [
        ("stomp", 1, "no"),
        ("ws", 2, "no"),
        ("stomp+ssl", 61614, "only"),
        ("wss", 15673, "only"),
    ]
    front_end.listening("stomp", "127.0.0.1", 1)
    front_end.stop()


def test_versions() -> None:
    assert negotiate(None) == "1.0"
    assert negotiate("1.1, 1.0") == "1.1"
    assert negotiate("3.0") is None
    assert negotiate("") is None


COMMANDS = [
    "CONNECT",
    "STOMP",
    "SEND",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "ACK",
    "NACK",
    "BEGIN",
    "COMMIT",
    "ABORT",
    "DISCONNECT",
    "WRONG",
]


def in_state(broker: StompBroker, state: State) -> Peer:
    if state is State.CONNECTING:
        return broker.peer()
    peer = broker.connect()
    if state is State.DISCONNECTING:
        broker.disk.held = True
        peer.frame("SEND", b"x", destination="/queue/a", persistent="true")
    if state in (State.DISCONNECTING, State.CLOSED):
        peer.frame("DISCONNECT")
    return peer


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_every_state_is_foreseen(
    broker: StompBroker, state: State, command: str
) -> None:
    """A bare command never ends in anything but a known state; after CLOSED nothing is said."""
    assert None in TRANSITIONS[state]
    peer = in_state(broker, state)
    peer.octets()
    peer.frame(command)
    frames = peer.receive_all()
    assert len(frames) <= 1
    if state in (State.DISCONNECTING, State.CLOSED):
        assert frames == []
    broker.disk.release()


def test_a_congested_broker_is_given_time(
    broker: StompBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = broker.connect(heart_beat="1000,0")
    broker.disk.held = True
    monkeypatch.setattr(type(broker.gateway.broker), "congested", property(lambda self: True))
    peer.frame("SEND", b"x", destination="/queue/a", persistent="true")
    assert peer.wire.producerState == "paused"
    broker.clock.advance(3)
    assert not peer.hung_up
    monkeypatch.undo()
    broker.disk.release()
    assert peer.wire.producerState == "producing"


class TestLogins:
    """Who logs in without saying so."""

    def test_implicitly(self, tmp_path: Path) -> None:
        peer = StompBroker(tmp_path, StompConfig(implicit_connect=True)).peer()
        peer.send(encode("SUBSCRIBE", destination=" /queue/a", receipt="r"))
        assert peer.receive().headers == {"receipt-id": "r"}
        peer.send(encode("SEND", b"m", destination="/queue/a"))
        assert "ack" not in peer.receive().headers  # It is STOMP 1.0.
        peer.frame("CONNECT")
        assert peer.hung_up

    def test_implicitly_but_refused(self, tmp_path: Path) -> None:
        config = StompConfig(implicit_connect=True, default_password="wrong")
        peer = StompBroker(tmp_path, config).peer()
        peer.send(encode("SEND", b"m", destination="/queue/a"))
        assert peer.octets() == error("Bad CONNECT", "Access refused for user 'guest'")
        assert peer.hung_up

    def test_by_certificate(self, tmp_path: Path) -> None:
        broker = StompBroker(tmp_path, StompConfig(ssl_cert_login=True, default_password="x"))
        peer = broker.peer(certificate_user="guest")
        peer.frame("CONNECT", accept_version="1.2")
        assert peer.receive().command == "CONNECTED"
        for headers in ({}, {"login": "guest", "passcode": "wrong"}):
            peer = broker.peer(certificate_user="guest" if headers else None)
            peer.frame("CONNECT", accept_version="1.2", **headers)
            assert peer.octets() == error("Bad CONNECT", "Access refused for user 'guest'")

    def test_by_a_certificate_of_nobody(self, tmp_path: Path) -> None:
        broker = StompBroker(tmp_path, StompConfig(ssl_cert_login=True))
        peer = broker.peer(certificate_user="CN=nobody")
        peer.frame("CONNECT", accept_version="1.2")
        assert peer.octets() == error("Bad CONNECT", "Access refused for user 'CN=nobody'")

    def test_a_certificate_is_not_asked_unless_told(self, broker: StompBroker) -> None:
        peer = broker.peer(certificate_user="CN=nobody")
        peer.frame("CONNECT", accept_version="1.2")
        assert peer.receive().command == "CONNECTED"

    def test_nobody_is_the_default(self, tmp_path: Path) -> None:
        peer = StompBroker(tmp_path, StompConfig(default_user="")).peer()
        peer.frame("CONNECT", accept_version="1.2")
        assert peer.octets() == error("Bad CONNECT", "Missing login or passcode header(s)")


def test_the_server_may_hide_its_name(tmp_path: Path) -> None:
    peer = StompBroker(tmp_path, StompConfig(server_name="")).peer()
    peer.frame("CONNECT", request_id="7")
    connected = peer.receive()
    assert list(connected.headers) == ["session", "heart-beat", "version", "response-id"]
    assert connected.headers["response-id"] == "7"
