from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from gateway.config import ListenConfig
from gateway.front_end import Listener
from gateway.service.listeners import ListenError, Listeners


class Recorder(Protocol):
    def __init__(self) -> None:
        self.lost: list[Failure] = []

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        self.lost.append(reason)


class RecorderFactory(Factory[Recorder]):
    noisy = False
    protocol = Recorder


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def listeners(reactor: MemoryReactorClock) -> Listeners:
    return Listeners(reactor, ListenConfig())


def connect(reactor: MemoryReactorClock) -> Recorder:
    """What the reactor does when somebody connects to the last port opened."""
    protocol = reactor.tcpServers[-1][1].buildProtocol(IPv4Address("TCP", "127.0.0.1", 50_000))
    assert isinstance(protocol, Recorder)
    protocol.makeConnection(StringTransport())
    return protocol


def test_a_listener_is_opened_on_the_host(
    reactor: MemoryReactorClock, listeners: Listeners
) -> None:
    assert listeners.open(Listener("pigeon", 1149, RecorderFactory())) == ("127.0.0.1", 1149)
    port, _factory, _backlog, interface = reactor.tcpServers[0]
    assert (port, interface) == (1149, "127.0.0.1")


def test_a_port_in_use_is_named(
    monkeypatch: pytest.MonkeyPatch, reactor: MemoryReactorClock, listeners: Listeners
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise CannotListenError("127.0.0.1", 1149, OSError(98, "Address already in use"))

    monkeypatch.setattr(reactor, "listenTCP", refuse)
    with pytest.raises(
        ListenError, match=r"^cannot listen on 127.0.0.1:1149 for pigeon: Address already in use$"
    ):
        listeners.open(Listener("pigeon", 1149, RecorderFactory()))


def test_idle_when_the_last_connection_is_gone(
    reactor: MemoryReactorClock, listeners: Listeners
) -> None:
    listeners.open(Listener("pigeon", 1149, RecorderFactory()))
    one, two = (connect(reactor) for _ in range(2))
    idle = listeners.when_idle()
    reason = Failure(ConnectionError())
    one.connectionLost(reason)
    assert not idle.called
    two.connectionLost(reason)
    assert idle.called
    assert one.lost == [reason]
    assert listeners.when_idle().called


def test_whoever_is_left_is_cut_off(reactor: MemoryReactorClock, listeners: Listeners) -> None:
    listeners.open(Listener("pigeon", 1149, RecorderFactory()))
    protocol = connect(reactor)
    assert listeners.abort_connections() == 1
    assert isinstance(protocol.transport, StringTransport)
    assert protocol.transport.disconnecting or protocol.transport.aborting
