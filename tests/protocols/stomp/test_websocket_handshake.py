"""Who gets in, and what the others are told."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import ConfigError, load_config
from protocols.stomp.config import StompConfig
from protocols.stomp.websocket_handshake import is_welcome, parse_basic
from tests.support.stomp_peer import StompBroker
from tests.support.websocket_peer import WebSocketPeer

BARE = b"GET %b HTTP/1.1\r\nHost: localhost:15674\r\n%b\r\n"
UPGRADE = (
    b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Callable[..., StompBroker]]:
    brokers: list[StompBroker] = []

    def make(**settings: object) -> StompBroker:
        brokers.append(StompBroker(tmp_path, StompConfig(**settings)))  # type: ignore[arg-type]
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


def ask(broker: StompBroker, octets: bytes) -> tuple[bytes, bool]:
    """The answer to raw octets, and whether the broker hung up."""
    peer = WebSocketPeer(broker)
    peer.protocol.dataReceived(octets)
    answer: bytes = peer.wire.value()
    return answer, peer.hung_up


def test_the_answer_in_full(broker: StompBroker) -> None:
    """The key is the example of RFC 6455, 1.3."""
    answer, hung_up = ask(broker, BARE % (b"/ws", UPGRADE))
    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert not hung_up


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], None),
        (["mqtt"], None),
        (["v10.stomp", "v12.stomp", "v11.stomp"], "v12.stomp"),
        (["mqtt", "v10.stomp"], "v10.stomp"),
        (["v11.stomp", "V12.STOMP"], "v11.stomp"),
    ],
)
def test_the_best_subprotocol(broker: StompBroker, offered: list[str], chosen: str | None) -> None:
    peer = WebSocketPeer(broker).open(subprotocols=offered)
    assert peer.accepted
    assert peer.accepted.subprotocol == chosen


def test_the_subprotocol_is_not_the_version(broker: StompBroker) -> None:
    peer = WebSocketPeer(broker).open(subprotocols=["v12.stomp"])
    peer.frame("CONNECT", accept_version="1.1")
    assert b"\nversion:1.1\n" in peer.take()[0]


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (BARE % (b"/", UPGRADE), 404),
        (BARE % (b"/ws/", UPGRADE), 404),
        (BARE % (b"/", b""), 404),
        (BARE % (b"/ws?a=b", UPGRADE), 101),
        (BARE % (b"/ws", b""), 400),
        (BARE % (b"/ws", UPGRADE.replace(b"13", b"8")), 426),
        (BARE % (b"/ws", UPGRADE) + b"\x81\x80\0\0\0\0", 400),
        (BARE % (b"/ws", UPGRADE + b"Content-Length: 3\r\n"), 400),
        (BARE.replace(b"GET", b"POST") % (b"/ws", UPGRADE), 400),
        (BARE % (b"/ws", UPGRADE + b"Sec-WebSocket-Protocol: \xff\r\n"), 400),
        (BARE.replace(b"localhost", b"\xff") % (b"/ws", UPGRADE), 400),
        (b"CONNECT\naccept-version:1.2\n\n\0", 404),
        (b"\x16\x03\x01 TLS by mistake\r\n\r\n", 404),
        (BARE % (b"/ws", UPGRADE + b"X: " + b"y" * 8_192 + b"\r\n"), 431),
        (b"GET /ws HTTP/1.1\r\nX: " + b"y" * 8_192, 431),
    ],
)
def test_what_is_answered(broker: StompBroker, octets: bytes, status: int) -> None:
    answer, hung_up = ask(broker, octets)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert hung_up is (status != 101)


def test_the_supported_version_is_told(broker: StompBroker) -> None:
    answer, _ = ask(broker, BARE % (b"/ws", UPGRADE.replace(b"13", b"8")))
    assert b"Sec-WebSocket-Version: 13\r\n" in answer


def test_a_peer_that_asks_for_nothing_is_dropped(broker: StompBroker) -> None:
    peer = WebSocketPeer(broker)
    peer.protocol.dataReceived(b"GET /ws HTTP/1.1\r\n")
    broker.clock.advance(10.1)
    assert peer.hung_up
    assert peer.wire.value() == b""


def test_the_time_to_log_in_counts_from_the_beginning(broker: StompBroker) -> None:
    peer = WebSocketPeer(broker)
    broker.clock.advance(6)
    peer.open()
    broker.clock.advance(6)
    peer.listen()
    assert peer.closed == (1000, "STOMP died")


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "welcome"),
    [
        ("http://localhost:8080", "localhost:15674", (), True),
        ("https://127.0.0.1", "127.0.0.1:15674", (), True),
        ("http://[::1]:3000", "[::1]:15674", (), True),
        ("http://LOCALHOST", "localhost", (), True),
        ("http://192.0.2.7", "192.0.2.7:15674", (), True),
        ("http://localhost", "127.0.0.1:15674", (), False),
        ("http://shop.example", "127.0.0.1:15674", (), False),
        # A name can be pointed at any address.
        ("http://shop.example", "shop.example:15674", (), False),
        ("http://shop.example", "shop.example:15674", ("http://shop.example",), True),
        ("HTTP://Shop.Example", "127.0.0.1:15674", ("http://shop.example",), True),
        ("https://shop.example", "127.0.0.1:15674", ("http://shop.example",), False),
        ("http://shop.example:81", "127.0.0.1:15674", ("http://shop.example",), False),
        ("http://shop.example.evil.example", "127.0.0.1", ("http://shop.example",), False),
        ("null", "127.0.0.1:15674", (), False),
        ("null", "127.0.0.1:15674", ("null",), True),
        ("http://shop.example", "127.0.0.1:15674", ("*",), True),
        ("", "", (), False),
    ],
)
def test_origins(origin: str, host: str, allowed: tuple[str, ...], welcome: bool) -> None:
    assert is_welcome(origin, host, StompConfig(websocket_origins=allowed)) is welcome


def test_a_stranger_is_refused(broker: StompBroker) -> None:
    peer = WebSocketPeer(broker).open(headers=[(b"Origin", b"http://evil.example")])
    assert peer.status == 403
    assert b"websocket_origins" in peer.refusal
    assert peer.hung_up


def test_one_strange_origin_is_enough(broker: StompBroker) -> None:
    origins = [(b"Origin", b"http://127.0.0.1"), (b"Origin", b"http://evil.example")]
    assert WebSocketPeer(broker).open(headers=origins).status == 403


@pytest.mark.parametrize("origin", ["http://shop.example/", "shop.example", "HTTP://shop", ""])
def test_what_no_browser_would_send_is_no_setting(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"^stomp: websocket_origins: .* is no origin"):
        load_config(None, [f'stomp.websocket_origins=["{origin}"]'], {"stomp": StompConfig})


@pytest.mark.parametrize("name", ["two\nlines", "a:b", "\0"])
def test_what_cannot_stand_in_a_header_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^stomp: server_name: .* cannot stand in a header$"):
        load_config(None, [f"stomp.server_name={name}"], {"stomp": StompConfig})


class TestBasic:
    GUEST = [(b"Authorization", b"basic " + b64encode(b"guest:guest"))]
    NOBODY = [(b"Authorization", b"Basic " + b64encode(b"nobody:pass:word"))]

    def test_it_overrides_login_and_passcode(self, configured: Callable[..., StompBroker]) -> None:
        broker = configured(websocket_http_auth=True)
        peer = WebSocketPeer(broker).open(headers=self.GUEST)
        peer.frame("CONNECT", login="x", passcode="y")
        assert peer.take()[0].startswith(b"CONNECTED\n")
        peer = WebSocketPeer(broker).open(headers=self.NOBODY)
        peer.frame("CONNECT", login="guest", passcode="guest")
        assert b"Access refused for user 'nobody'" in peer.take()[0]

    def test_without_it_the_default_user_logs_in(
        self, configured: Callable[..., StompBroker]
    ) -> None:
        """As with RabbitMQ: the headers of CONNECT mean nothing then, either."""
        peer = WebSocketPeer(configured(websocket_http_auth=True)).open()
        peer.frame("CONNECT", login="x", passcode="y")
        assert peer.take()[0].startswith(b"CONNECTED\n")

    def test_what_is_not_basic_is_asked_again(self, configured: Callable[..., StompBroker]) -> None:
        broker = configured(websocket_http_auth=True)
        peer = WebSocketPeer(broker).open(headers=[(b"Authorization", b"Bearer x")])
        assert peer.status == 401
        assert peer.refusal_headers[b"www-authenticate"].startswith(b"Basic realm=")

    def test_it_means_nothing_unless_it_is_switched_on(self, broker: StompBroker) -> None:
        peer = WebSocketPeer(broker).open(headers=self.NOBODY)
        peer.frame("CONNECT")
        assert peer.take()[0].startswith(b"CONNECTED\n")

    @pytest.mark.parametrize(
        ("value", "credentials"),
        [
            (b"Basic " + b64encode(b"a:b:c"), ("a", "b:c")),
            (b"BASIC  " + b64encode("ä:\N{EURO SIGN}".encode()) + b" ", ("ä", "\N{EURO SIGN}")),
            (b"Basic " + b64encode(b"\xff:"), ("\udcff", "")),
            (b"Basic " + b64encode(b"no colon"), None),
            (b"Basic !", None),
            (b"Basic", None),
            (b"", None),
        ],
    )
    def test_parse(self, value: bytes, credentials: tuple[str, str] | None) -> None:
        assert parse_basic(value) == credentials


class TestDeflate:
    @pytest.mark.parametrize(
        ("offer", "answer"),
        [
            (b"permessage-deflate", b"permessage-deflate"),
            (
                b"permessage-deflate; client_max_window_bits",
                b"permessage-deflate; client_max_window_bits=15",
            ),
            (
                b"permessage-deflate; server_no_context_takeover",
                b"permessage-deflate; server_no_context_takeover",
            ),
            (b"permessage-deflate; client_max_window_bits=many", None),
            (b"permessage-deflate; server_max_window_bits=99", None),
            (b"x-webkit-deflate-frame", None),
        ],
    )
    def test_it_is_agreed_on(self, broker: StompBroker, offer: bytes, answer: bytes | None) -> None:
        line = b"Sec-WebSocket-Extensions: %b\r\n"
        octets, _ = ask(broker, BARE % (b"/ws", UPGRADE + line % offer))
        assert octets.startswith(b"HTTP/1.1 101 ")
        assert (b"Sec-WebSocket-Extensions: " in octets) is (answer is not None)
        assert answer is None or line % answer in octets

    def test_it_may_be_off(self, configured: Callable[..., StompBroker]) -> None:
        peer = WebSocketPeer(configured(websocket_compression=False), deflate=True).open()
        assert peer.accepted
        assert not peer.accepted.extensions


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    at=st.integers(min_value=0),
    length=st.integers(0, 20),
    junk=st.one_of(
        st.binary(max_size=30), st.sampled_from([b"\r\n", b"HTTP/1.0", b"Expect: 100-continue\r\n"])
    ),
)
def test_a_mangled_request_is_answered_in_http(
    shared: StompBroker, at: int, length: int, junk: bytes
) -> None:
    """Without a transport, which would log and forget what goes wrong."""
    whole = BARE % (b"/ws", UPGRADE)
    at %= len(whole)
    connection = WebSocketPeer(shared).protocol._connection
    connection.receive_data(whole[:at] + junk + whole[at + length :], 0.0)
    answer = connection.data_to_send()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    connection.connection_lost()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StompBroker]:
    broker = StompBroker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()
