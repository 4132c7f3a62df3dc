"""The order in which things start and stop; everything that takes part writes to one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from core.errors import StoreFormatError
from gateway.config import TlsConfig, load_config
from gateway.front_end import Listener
from gateway.service import service as service_module
from gateway.service.data_folder import DataFolder
from gateway.service.listeners import ListenError
from gateway.service.service import GOODBYE_S, Service

events: list[str] = []


class FakeGateway:
    fails = False

    def __init__(self, data_dir: Path, **collaborators: Any) -> None:
        assert set(collaborators) == {
            "clock", "run_blocking", "store", "failed", "loopback_users", "flush"
        }  # fmt: skip

    def add_language(self, language: Any) -> None:
        events.append(f"language {language}")

    def start(self) -> None:
        if self.fails:
            raise StoreFormatError("from the future")
        events.append("gateway starts")

    def stop(self) -> None:
        events.append("gateway stops")


class EchoFactory(Factory[Protocol]):
    noisy = False
    protocol = Protocol


@dataclass(frozen=True)
class PortConfig:
    port: int


class FakeFrontEnd:
    section: ClassVar[str]
    config_class: ClassVar[type[Any]] = PortConfig
    languages: ClassVar[Sequence[Any]]

    def __init__(self, gateway: Any, section: PortConfig, clock: Any) -> None:
        events.append(f"{self.section} made")
        self._port = section.port

    def listeners(self) -> Sequence[Listener]:
        return [Listener(self.section, self._port, EchoFactory())]

    def listening(self, name: str, host: str, port: int) -> None:
        events.append(f"{name} listens on {host}:{port}")

    def stop(self) -> None:
        events.append(f"{self.section} says goodbye")


class Pigeon(FakeFrontEnd):
    section = "pigeon"
    languages = ("coo",)


class Drum(FakeFrontEnd):
    section = "drum"
    languages = ()


class FussyReactor(MemoryReactorClock):
    """Refuses port 13."""

    def callFromThread(self, function: Any, *arguments: Any) -> None:  # noqa: N802
        raise AssertionError("nothing blocks here")

    def listenTCP(self, port: int, *arguments: Any, **options: Any) -> Any:  # noqa: N802
        if port == 13:
            raise CannotListenError("127.0.0.1", 13, OSError(98, "Address already in use"))
        return super().listenTCP(port, *arguments, **options)


@pytest.fixture(autouse=True)
def forget_events(monkeypatch: pytest.MonkeyPatch) -> None:
    events.clear()
    monkeypatch.setattr(service_module, "Gateway", FakeGateway)


@pytest.fixture
def reactor() -> FussyReactor:
    return FussyReactor()


def make_service(tmp_path: Path, reactor: FussyReactor, drum_port: int = 2) -> Service:
    config = load_config(
        None,
        ["pigeon.port=1", f"drum.port={drum_port}"],
        {"pigeon": PortConfig, "drum": PortConfig},
    )
    return Service(tmp_path, config, [Pigeon, Drum], reactor)  # type: ignore[list-item]


STARTED = [
    "language coo",
    "gateway starts",
    "pigeon made",
    "drum made",
    "pigeon listens on 127.0.0.1:1",
    "drum listens on 127.0.0.1:2",
]


def test_starts_in_order_and_stops_in_reverse(tmp_path: Path, reactor: FussyReactor) -> None:
    service = make_service(tmp_path, reactor)
    service.start()
    assert events == STARTED
    assert service.ready_line() == "rosettamq ready pigeon=127.0.0.1:1 drum=127.0.0.1:2"
    stopped = service.stop()
    assert stopped.called
    assert events[len(STARTED) :] == ["drum says goodbye", "pigeon says goodbye", "gateway stops"]
    DataFolder(tmp_path).release()


@pytest.mark.parametrize("verify", ["none", "optional"])
def test_says_whether_certificates_are_asked_for(
    tmp_path: Path, reactor: FussyReactor, monkeypatch: pytest.MonkeyPatch, verify: Any
) -> None:
    gateways: list[Any] = []

    class Kept(FakeGateway):
        def start(self) -> None:
            gateways.append(self)

    monkeypatch.setattr(service_module, "Gateway", Kept)
    monkeypatch.setattr(service_module, "_load_tls", lambda config: None)
    config = replace(load_config(None, []), tls=TlsConfig("server.pem", ca="ca", verify=verify))
    service = Service(tmp_path, config, [], reactor)
    service.start()
    assert [each.asks_for_certificates for each in gateways] == [verify == "optional"]
    assert service.stop().called


def test_waits_for_goodbyes_to_be_taken(tmp_path: Path, reactor: FussyReactor) -> None:
    service = make_service(tmp_path, reactor)
    service.start()
    protocol = connect(reactor)
    stopped = service.stop()
    assert not stopped.called
    assert events[-1] == "pigeon says goodbye"
    protocol.connectionLost(Failure(ConnectionError()))
    assert stopped.called
    assert events[-1] == "gateway stops"


def test_cuts_off_whoever_does_not_take_the_goodbye(tmp_path: Path, reactor: FussyReactor) -> None:
    service = make_service(tmp_path, reactor)
    service.start()
    protocol = connect(reactor)
    stopped = service.stop()
    reactor.advance(GOODBYE_S)
    assert isinstance(protocol.transport, StringTransport)
    assert protocol.transport.disconnected
    assert not stopped.called, "the store must outlive the last connection"
    protocol.connectionLost(Failure(ConnectionError()))
    assert stopped.called
    assert events[-1] == "gateway stops"


def connect(reactor: FussyReactor) -> Protocol:
    protocol = reactor.tcpServers[0][1].buildProtocol(IPv4Address("TCP", "127.0.0.1", 50_000))
    assert isinstance(protocol, Protocol)
    protocol.makeConnection(StringTransport())
    return protocol


def test_a_port_in_use_undoes_the_start(tmp_path: Path, reactor: FussyReactor) -> None:
    service = make_service(tmp_path, reactor, drum_port=13)
    with pytest.raises(ListenError, match="13 for drum: Address already in use"):
        service.start()
    assert events[-1] == "gateway stops"
    DataFolder(tmp_path).release()


def test_a_store_that_cannot_be_read_is_let_go(
    tmp_path: Path, reactor: FussyReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGateway, "fails", True)
    with pytest.raises(StoreFormatError):
        make_service(tmp_path, reactor).start()
    assert "gateway stops" not in events
    DataFolder(tmp_path).release()
