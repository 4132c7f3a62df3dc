"""TLS as a listener has it: real handshakes, in memory, with the standard library's client."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from cryptography.x509.oid import NameOID
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from gateway.config import Config, ConfigError, ListenConfig, TlsConfig, load_config
from gateway.front_end import Listener
from gateway.service.listeners import Listeners
from gateway.service.peers import Peer, peer_at
from gateway.service.service import Service
from gateway.service.tls import Tls
from tests.support.certificates import Authority, make_name
from tests.support.garbage import no_garbage_collector
from tests.support.wire import SlowSocket, TlsClient, client_context

ADDRESS = IPv4Address("TCP", "127.0.0.1", 40_000)
HANDSHAKE_TIMEOUT_S = ListenConfig().handshake_timeout_s


class Echo(Protocol):
    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.is_lost = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.transport.write(data)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        self.is_lost = True


class EchoFactory(ServerFactory[Echo]):
    noisy = False

    def __init__(self) -> None:
        self.made: list[Echo] = []

    def buildProtocol(self, addr: IAddress | None) -> Echo:  # noqa: N802
        self.made.append(Echo(peer_at(addr)))
        return self.made[-1]


class Port:
    """One listener, as the reactor sees it."""

    def __init__(
        self, tls: Any = "only", config: TlsConfig | None = None, proxy_protocol: bool = False
    ) -> None:
        self.reactor = MemoryReactorClock()
        self.echoes = EchoFactory()
        self.tls = Tls(config) if config is not None else None
        self.listeners = Listeners(
            self.reactor, ListenConfig(proxy_protocol=proxy_protocol), self.tls
        )
        self.listeners.open(Listener("pigeon", 1149, self.echoes, tls, silence_s=60))

    def connect(self) -> Any:
        return self.reactor.tcpServers[-1][1].buildProtocol(ADDRESS)

    def connect_plain(self) -> tuple[Any, SlowSocket]:
        protocol, socket = self.connect(), SlowSocket()
        protocol.makeConnection(socket)
        return protocol, socket

    @property
    def peers(self) -> list[Peer]:
        return [echo.peer for echo in self.echoes.made]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def config(authority: Authority) -> TlsConfig:
    certificate, key = authority.issue("server")
    return TlsConfig(certificate=str(certificate), key=str(key))


@pytest.fixture(scope="module")
def config_with_clients(authority: Authority, config: TlsConfig) -> TlsConfig:
    return replace(config, ca=str(authority.path), verify="optional")


@pytest.fixture(scope="module")
def client_certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.issue(
        "client", make_name((NameOID.ORGANIZATION_NAME, "Shop"), (NameOID.COMMON_NAME, "guest"))
    )


def shake_hands_and_read(client: TlsClient) -> bytes:
    """With TLS 1.3, a client has finished before the server has."""
    client.shake_hands()
    return client.receive()


def hello(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_no_tls_port_without_certificates() -> None:
    assert Port().reactor.tcpServers == []


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_a_lost_connection_needs_no_garbage_collector(
    authority: Authority, config: TlsConfig, monkeypatch: pytest.MonkeyPatch, says_goodbye: bool
) -> None:
    def produce(echo: Echo) -> None:
        assert echo.transport is not None
        echo.transport.registerProducer(echo, True)

    monkeypatch.setattr(Echo, "connectionMade", produce)
    port = Port("only", config)

    def come_and_go() -> list[ref[Any]]:
        connection = port.connect()
        client = TlsClient(connection, client_context(authority.path))
        client.shake_hands()
        known = [ref(connection), ref(port.echoes.made.pop())]
        if says_goodbye:
            client.say_goodbye()
        connection.connectionLost(Failure(ConnectionLost()))
        connection.transport = None  # A real one lets go of the connection.
        return known

    with no_garbage_collector():
        assert [known() for known in come_and_go()] == [None, None]


@pytest.mark.parametrize("tls", ["only", "too"])
def test_a_peer_is_let_in_after_the_handshake(
    authority: Authority, config: TlsConfig, tls: str
) -> None:
    port = Port(tls, config)
    client = TlsClient(port.connect(), client_context(authority.path))
    assert port.peers == []
    client.shake_hands()
    assert port.peers == [Peer("127.0.0.1", 40_000, tls=True)]
    client.send(b"coo" * 100_000)
    assert client.receive() == b"coo" * 100_000
    assert not port.listeners.when_idle().called
    client.say_goodbye()
    assert client.socket.is_closed
    client.lose()
    assert port.echoes.made[0].is_lost
    assert port.listeners.when_idle().called
    assert port.reactor.getDelayedCalls() == []


def test_both_on_one_port(authority: Authority, config: TlsConfig) -> None:
    port = Port("too", config)
    protocol, socket = port.connect_plain()
    protocol.dataReceived(b"coo")
    protocol.dataReceived(b" coo")
    assert socket.take() == b"coo coo"
    assert port.peers == [Peer("127.0.0.1", 40_000)]
    protocol.connectionLost(Failure(ConnectionError()))
    assert port.echoes.made[0].is_lost
    assert port.reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    "first", [b"AMQP\0\0\x09\x01", b"CONNECT\n\n\0", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_a_plain_client_on_a_tls_port_is_refused_at_once(config: TlsConfig, first: bytes) -> None:
    port = Port("only", config)
    protocol, socket = port.connect_plain()
    protocol.dataReceived(first)
    assert socket.is_closed
    assert port.peers == []
    protocol.connectionLost(Failure(ConnectionError()))
    assert port.listeners.when_idle().called
    assert port.reactor.getDelayedCalls() == []


@pytest.mark.parametrize("tls", ["only", "too"])
@pytest.mark.parametrize("size", [0, 1, 4, 100])
def test_a_handshake_that_never_ends_is_cut_off(
    authority: Authority, config: TlsConfig, tls: str, size: int
) -> None:
    port = Port(tls, config)
    protocol, socket = port.connect_plain()
    if size:
        protocol.dataReceived(hello(client_context(authority.path))[:size])
    silence_s = 60 if tls == "too" and not size else HANDSHAKE_TIMEOUT_S
    port.reactor.advance(silence_s - 0.1)
    assert not socket.is_closed
    port.reactor.advance(0.1)
    assert socket.is_closed
    protocol.connectionLost(Failure(ConnectionError()))
    assert port.peers == []
    assert port.listeners.when_idle().called


def test_a_handshake_is_cut_off_at_a_stop(config: TlsConfig) -> None:
    port = Port("only", config)
    protocol, socket = port.connect_plain()
    assert port.listeners.abort_connections() == 1
    assert socket.is_closed
    protocol.connectionLost(Failure(ConnectionError()))
    assert port.reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("verify", "has_certificate", "user"),
    [
        ("none", True, None),
        ("optional", False, None),
        ("optional", True, "CN=guest,O=Shop"),
        ("required", True, "CN=guest,O=Shop"),
    ],
)
def test_the_user_is_that_of_a_verified_certificate(
    authority: Authority,
    config_with_clients: TlsConfig,
    client_certificate: tuple[Path, Path],
    verify: Any,
    has_certificate: bool,
    user: str | None,
) -> None:
    port = Port("only", replace(config_with_clients, verify=verify))
    certificate = client_certificate if has_certificate else None
    TlsClient(port.connect(), client_context(authority.path, certificate)).shake_hands()
    assert port.peers == [Peer("127.0.0.1", 40_000, user, tls=True)]


def test_the_user_may_be_the_common_name(
    authority: Authority, config_with_clients: TlsConfig, client_certificate: tuple[Path, Path]
) -> None:
    port = Port("only", replace(config_with_clients, user_from="common_name"))
    TlsClient(port.connect(), client_context(authority.path, client_certificate)).shake_hands()
    assert port.peers[0].certificate_user == "guest"


@pytest.mark.parametrize("stranger", [False, True])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_certificate_or_a_strangers_is_refused(
    tmp_path: Path,
    authority: Authority,
    config_with_clients: TlsConfig,
    stranger: bool,
    version: ssl.TLSVersion,
) -> None:
    port = Port("only", replace(config_with_clients, verify="required"))
    certificate = Authority(tmp_path, "stranger").issue("client") if stranger else None
    context = client_context(authority.path, certificate)
    context.maximum_version = version
    client = TlsClient(port.connect(), context)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        shake_hands_and_read(client)
    assert client.socket.is_closed
    assert port.peers == []


@pytest.mark.parametrize(("minimum", "is_welcome"), [("1.2", True), ("1.3", False)])
def test_the_minimum_version(
    authority: Authority, config: TlsConfig, minimum: Any, is_welcome: bool
) -> None:
    port = Port("only", replace(config, minimum_version=minimum))
    context = client_context(authority.path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = TlsClient(port.connect(), context)
    if is_welcome:
        client.shake_hands()
    else:
        with pytest.raises(ssl.SSLError):
            client.shake_hands()
    assert len(port.peers) == is_welcome


def test_certificates_are_read_again(tmp_path: Path, authority: Authority) -> None:
    certificate, key = Authority(tmp_path, "old").issue("server")
    port = Port("only", TlsConfig(certificate=str(certificate), key=str(key)))
    assert port.tls is not None
    old = TlsClient(port.connect(), client_context(tmp_path / "old.pem"))
    old.shake_hands()
    for source, target in zip(authority.issue("new"), (certificate, key), strict=True):
        target.write_bytes(source.read_bytes())
    port.tls.reload()
    new = TlsClient(port.connect(), client_context(authority.path))
    new.shake_hands()
    assert new.server_certificate != old.server_certificate
    old.send(b"still here")
    assert old.receive() == b"still here"

    key.write_text("junk")
    with pytest.raises(ConfigError):
        port.tls.reload()
    again = TlsClient(port.connect(), client_context(authority.path))
    again.shake_hands()
    assert again.server_certificate == new.server_certificate


def test_a_key_with_a_password_and_a_chain_in_one_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", password="secret")
    everything = tmp_path / "everything.pem"
    everything.write_bytes(
        certificate.read_bytes() + authority.path.read_bytes() + key.read_bytes()
    )
    port = Port("only", TlsConfig(certificate=str(everything), key_password="secret"))
    TlsClient(port.connect(), client_context(authority.path)).shake_hands()


BAD_FILES: list[tuple[Callable[[TlsConfig, Path], dict[str, str]], str]] = [
    (
        lambda config, folder: {"certificate": "no.pem"},
        "tls.certificate: cannot read no.pem: No such file or directory",
    ),
    (
        lambda config, folder: {"certificate": config.key},
        "tls.certificate: {folder}/server.key is no PEM certificate",
    ),
    (
        lambda config, folder: {"key": "no.key"},
        "tls.key: cannot read no.key: No such file or directory",
    ),
    (lambda config, folder: {"key": config.certificate}, "tls.key: cannot use {folder}/server.pem"),
    (lambda config, folder: {"key": ""}, "tls.key: cannot use {folder}/server.pem"),
    (
        lambda config, folder: {"key": str(folder / "other.key")},
        "tls.key: {folder}/other.key is not the key of {folder}/server.pem",
    ),
    (
        lambda config, folder: {"key": str(folder / "locked.key")},
        "tls.key: cannot use {folder}/locked.key: Password was not given but private key is",
    ),
    (
        lambda config, folder: {"key": str(folder / "locked.key"), "key_password": "wrong"},
        "tls.key: cannot use {folder}/locked.key: ",
    ),
    (
        lambda config, folder: {"ca": "no.pem", "verify": "required"},
        "tls.ca: cannot read no.pem: No such file or directory",
    ),
    (
        lambda config, folder: {"ca": config.key, "verify": "required"},
        "tls.ca: {folder}/server.key: no certificate or crl found",
    ),
    (lambda config, folder: {"ciphers": "ROT13"}, "tls.ciphers: no cipher match"),
]


@pytest.mark.parametrize(("change", "message"), BAD_FILES)
def test_a_bad_file_is_one_line_that_names_the_key(
    folder: Path,
    authority: Authority,
    config: TlsConfig,
    change: Callable[[TlsConfig, Path], Any],
    message: str,
) -> None:
    authority.issue("other")
    authority.issue("locked", password="secret")
    with pytest.raises(ConfigError) as caught:
        Tls(replace(config, **change(config, folder)))
    assert str(caught.value).startswith(message.format(folder=folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["tls.key=x"], "tls: certificate is missing"),
        (["tls.verify=required"], "tls: certificate is missing"),
        (
            ["tls.certificate=x", "tls.verify=required"],
            "tls: verify = required needs ca, the certificates to trust",
        ),
        (
            ["tls.minimum_version=1.1"],
            "--set tls.minimum_version: must be one of 1.2, 1.3, not '1.1'",
        ),
    ],
)
def test_a_bad_section_is_one_line_that_names_the_key(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings)
    assert str(caught.value) == message


def test_a_version_without_quotes(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text("[tls]\nminimum_version = 1.2\n")
    with pytest.raises(ConfigError, match=r"must be one of '1.2', '1.3', not 1.2$"):
        load_config(path)


def test_the_service_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config: Config = load_config(None, ["tls.certificate=x"])
    monkeypatch.delitem(__import__("sys").modules, "gateway.service.tls")
    monkeypatch.setitem(__import__("sys").modules, "OpenSSL", None)
    with pytest.raises(ConfigError, match=r"^tls: OpenSSL is missing: pip install"):
        Service(tmp_path, config, [], MemoryReactorClock())


PROXY_V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 5000 5672\r\n"
PROXY_V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([203, 0, 113, 9, 192, 0, 2, 1])
    + (5000).to_bytes(2, "big") + (5672).to_bytes(2, "big")
)  # fmt: skip
PROXY_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"  # The proxy itself, asking whether we live.
PROXY_V6 = b"PROXY TCP6 2001:db8::9 2001:db8::1 5000 5672\r\n"
ANNOUNCED = Peer("203.0.113.9", 5000)


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (PROXY_V1, ANNOUNCED),
        (PROXY_V2, ANNOUNCED),
        (PROXY_V6, Peer("2001:db8::9", 5000)),
        (PROXY_LOCAL, Peer("127.0.0.1", 40_000)),
        (b"PROXY UNKNOWN ::1 ::1 1 2\r\n", Peer("127.0.0.1", 40_000)),
        (b"PROXY UNKNOWN\r\n", Peer("127.0.0.1", 40_000)),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_proxy_announces_the_peer(header: bytes, peer: Peer, cut: bool) -> None:
    port = Port("no", proxy_protocol=True)
    protocol, socket = port.connect_plain()
    if cut:
        protocol.dataReceived(header)
        assert port.peers == []
        protocol.dataReceived(b"coo")
    else:
        protocol.dataReceived(header + b"coo")
    assert port.peers == [peer]
    assert socket.take() == b"coo"
    protocol.connectionLost(Failure(ConnectionError()))
    assert port.echoes.made[0].is_lost
    assert port.listeners.when_idle().called


@pytest.mark.parametrize("header", [PROXY_V1, PROXY_V2])
def test_a_header_in_pieces(header: bytes) -> None:
    port = Port("no", proxy_protocol=True)
    protocol, socket = port.connect_plain()
    for octet in header + b"coo":
        protocol.dataReceived(bytes([octet]))
    assert port.peers == [ANNOUNCED]
    assert socket.take() == b"coo"


@pytest.mark.parametrize("tls", ["only", "too"])
@pytest.mark.parametrize("header", [PROXY_V1, PROXY_V2])
def test_a_proxy_announces_a_tls_peer(
    authority: Authority, config: TlsConfig, tls: str, header: bytes
) -> None:
    port = Port(tls, config, proxy_protocol=True)
    client = TlsClient(port.connect(), client_context(authority.path), header)
    client.shake_hands()
    assert port.peers == [replace(ANNOUNCED, tls=True)]
    client.send(b"coo")
    assert client.receive() == b"coo"


@pytest.mark.parametrize(
    "first", [b"AMQP\0\0\x09\x01", b"PROXY TCP5 x\r\n", b"PROXY " + b"x" * 200]
)
def test_whoever_comes_past_the_proxy_is_refused(first: bytes) -> None:
    port = Port("no", proxy_protocol=True)
    protocol, socket = port.connect_plain()
    protocol.dataReceived(first)
    assert socket.is_closed
    assert port.peers == []


def test_a_proxy_that_announces_nobody_is_cut_off() -> None:
    port = Port("no", proxy_protocol=True)
    _protocol, socket = port.connect_plain()
    port.reactor.advance(60)
    assert socket.is_closed
