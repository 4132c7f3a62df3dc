"""The transport over real TLS, and a peer that does not read, or does not say goodbye."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock

from core.turn import Turn
from gateway.config import TlsConfig
from gateway.service.tls import Tls
from protocols.transport import ConnectionTransport
from tests.support.certificates import Authority
from tests.support.wire import SlowSocket, TlsClient, client_context

BUFFER_SIZE = 128 << 10
CHUNK = b"rosetta." * 2048  # 16 KiB.


class Source:
    """A connection that sends chunks for as long as its peer reads, and counts what it hears."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.closed = False
        self.wake = wake
        self.left_count = 0
        self.sent_count = 0
        self.heard_size = 0
        self.is_paused = False
        self.is_lost = False
        self.at_once_count = 4

    def receive_data(self, data: bytes, now: float) -> None:
        self.heard_size += len(data)

    def data_to_send(self) -> bytes:
        if self.is_paused or not self.left_count:
            return b""
        count = min(self.at_once_count, self.left_count)
        self.left_count -= count
        self.sent_count += count
        self.wake()
        return CHUNK * count

    def next_deadline(self) -> float | None:
        return None

    def handle_deadline(self, now: float) -> None:
        """There are none."""

    def pause_delivery(self) -> None:
        self.is_paused = True

    def resume_delivery(self) -> None:
        self.is_paused = False

    def connection_lost(self) -> None:
        self.is_lost = True


class Congestion:
    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def when_relieved(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)


class TransportFactory(ServerFactory[ConnectionTransport]):
    noisy = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.turn = Turn()
        self.congestion = Congestion()

    def buildProtocol(self, addr: IAddress | None) -> ConnectionTransport:  # noqa: N802
        self.transport = ConnectionTransport(self.turn, self.clock, self.congestion)
        self.source = Source(self.transport.wake)
        self.transport.attach(self.source)
        return self.transport


class Link:
    """A source on one end; on the other, a client that reads only if told to."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        certificate, key = authority.issue("server")
        self.clock = Clock()
        factory = TransportFactory(self.clock)
        tls = Tls(TlsConfig(certificate=str(certificate), key=str(key)))
        protocol = tls.wrap(factory, self.clock, 10.0).buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        self.client = TlsClient(protocol, client_context(authority.path))
        self.client.shake_hands()
        self.socket: SlowSocket = self.client.socket
        self.source = factory.source
        self.transport = factory.transport
        self.turn = factory.turn
        self.congestion = factory.congestion

    def send(self, count: int, at_once: int = 4) -> None:
        self.source.left_count = count
        self.source.at_once_count = at_once
        self.source.wake()
        self.turn.end()

    def hang_up(self) -> None:
        self.source.closed = True
        self.source.wake()
        self.turn.end()


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    link = Link(tmp_path)
    yield link
    if not link.source.is_lost:
        link.client.lose()
    assert link.source.is_lost
    assert link.clock.getDelayedCalls() == []


def test_the_socket_below_tls_is_set_up(link: Link) -> None:
    assert link.socket.bufferSize == BUFFER_SIZE
    assert link.socket.no_delay


def test_a_big_message_arrives_whole(link: Link) -> None:
    link.send(1024, at_once=1024)  # 16 MiB in one piece.
    assert link.client.receive() == CHUNK * 1024


def test_to_a_peer_that_does_not_read_little_is_sent(link: Link) -> None:
    link.send(1024)
    assert link.source.is_paused
    assert not link.socket.is_reading, "who does not read shall not write, either"
    assert len(CHUNK) * link.source.sent_count <= BUFFER_SIZE + len(CHUNK) * 4
    assert link.client.receive() == CHUNK * 1024
    assert not link.source.is_paused
    assert link.socket.is_reading


def test_a_publisher_waits_until_the_disk_has_caught_up(link: Link) -> None:
    link.transport.throttle()
    assert not link.socket.is_reading
    (relieve,) = link.congestion.waiting
    relieve()
    assert link.socket.is_reading
    link.client.send(b"x" * 1_000_000)
    assert link.source.heard_size == 1_000_000


def test_what_was_queued_is_sent_before_the_goodbye(link: Link) -> None:
    link.source.left_count = 4
    link.hang_up()
    assert not link.socket.is_closed
    assert link.client.receive() == CHUNK * 4
    link.client.say_goodbye()
    assert link.socket.is_closed
    assert not link.socket.disconnected


def test_whoever_does_not_say_goodbye_is_cut_off(link: Link) -> None:
    link.hang_up()
    link.clock.advance(29.9)
    assert not link.socket.is_closed
    link.clock.advance(0.1)
    assert link.socket.disconnected


def test_a_peer_that_does_not_read_is_cut_off(link: Link) -> None:
    link.send(1024)
    assert not link.socket.is_reading
    link.hang_up()
    assert link.socket.is_reading, "the goodbye has to be heard"
    link.clock.advance(30)
    assert link.socket.disconnected


def test_an_error_drops_the_peer_at_once(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes, now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(link.source, "receive_data", fail)
    link.client.send(b"x")
    assert link.socket.disconnected
