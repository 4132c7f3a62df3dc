import gc
from pathlib import Path
from weakref import ref

import pytest
from pamqp import commands
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import StringTransport

from gateway.config import ConfigError, load_config
from gateway.connections import Ends
from gateway.service.peers import Peer
from protocols.amqp.config import AmqpConfig
from protocols.amqp.connection import AmqpConnection
from protocols.amqp.front_end import AmqpFactory, AmqpFrontEnd
from protocols.amqp.language import AmqpLanguage
from protocols.transport import ConnectionTransport
from tests.support.amqp_peer import AmqpBroker


def test_has_a_port_and_one_for_tls(broker: AmqpBroker) -> None:
    front_end = AmqpFrontEnd(broker.gateway, AmqpConfig(port=1234), broker.clock)
    listeners = [(listener.name, listener.port) for listener in front_end.listeners()]
    assert listeners == [("amqp", 1234), ("amqps", 5671)]


def test_has_one_language() -> None:
    (language,) = AmqpFrontEnd.languages
    assert isinstance(language, AmqpLanguage)
    assert (language.number, language.name) == (1, "amqp")


@pytest.mark.parametrize(
    "setting",
    ["channel_max=0", "channel_max=65536", "frame_max=4095", "heartbeat_s=-1", "heartbeat_s=65536"],
)
def test_what_the_handshake_could_not_say_is_refused_at_the_start(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.partition("=")[0]):
        load_config(None, [f"amqp.{setting}"], {"amqp": AmqpConfig})


def test_the_defaults_are_rabbitmqs() -> None:
    config = AmqpConfig()
    assert (config.port, config.channel_max, config.frame_max) == (5672, 2047, 131072)
    assert (config.heartbeat_s, config.handshake_timeout_s) == (60, 10.0)
    assert config.message_size_max == 16777216


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1"),
        (UNIXAddress(b"/socket"), ""),
        (None, ""),
    ],
)
def test_knows_where_a_peer_comes_from(
    broker: AmqpBroker, address: IPv4Address | UNIXAddress | None, host: str
) -> None:
    assert isinstance(broker.factory, AmqpFactory)
    transport = broker.factory.buildProtocol(address)
    assert isinstance(transport, ConnectionTransport)
    (connection,) = broker.factory.connections
    assert connection.client.peer.host == host


@pytest.mark.parametrize(("tls", "name", "port"), [(False, "amqp", 5672), (True, "amqps", 5671)])
def test_knows_both_ends(broker: AmqpBroker, tls: bool, name: str, port: int) -> None:
    assert isinstance(broker.factory, AmqpFactory)
    broker.front_end.listening(name, "192.0.2.9", port)
    broker.factory.buildProtocol(Peer("192.0.2.1", 5, tls=tls))
    (connection,) = broker.factory.connections
    assert connection.facts().ends == Ends("192.0.2.1", 5, "192.0.2.9", port, tls)


def test_stopping_says_goodbye_to_all(broker: AmqpBroker) -> None:
    peers = [broker.connect() for _ in range(3)]
    early = broker.peer()
    broker.front_end.stop()
    for peer in peers:
        assert peer.receive().failure[:2] == ("Connection.Close", 320)
    assert early.hung_up
    broker.front_end.stop()
    assert all(peer.receive_all() == [] for peer in peers)


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_lost_connection_needs_no_garbage_collector(broker: AmqpBroker, is_closed: bool) -> None:
    peer = broker.connect()
    peer.declare("q")
    peer.consume("q")
    peer.publish("q", b"one")
    assert peer.bodies() == [b"one"]
    (connection,) = broker.factory.connections
    references = ref(connection), ref(connection.channels[1].batches)
    del connection
    gc.collect()
    gc.disable()
    try:
        if is_closed:
            peer.method(0, commands.Connection.Close(200, "", 0, 0))
        peer.lose()
        del peer
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


def test_an_unforeseen_error_drops_the_peer_and_nobody_else(
    broker: AmqpBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, other = broker.connect(), broker.connect()
    other.declare("q")
    other.consume()

    def fail(connection: AmqpConnection, data: bytes, now: float) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(AmqpConnection, "receive_data", fail)
        peer.send(b"x")
    assert peer.hung_up
    other.publish("q", b"1")
    assert other.bodies() == [b"1"]
    peer.lose()


def test_two_brokers_in_one_process(tmp_path: Path) -> None:
    brokers = [AmqpBroker(tmp_path / name) for name in "ab"]
    for broker in brokers:
        peer = broker.connect()
        peer.declare("q")
        peer.publish("q", b"1")
        assert peer.get().command.message_count == 0
    for broker in brokers:
        broker.stop()


def test_a_transport_without_options_will_do(broker: AmqpBroker) -> None:
    """A UNIX socket has no Nagle to turn off."""
    transport = broker.factory.buildProtocol(None)
    assert transport is not None
    wire = StringTransport()  # type: ignore[no-untyped-call]
    transport.makeConnection(wire)  # type: ignore[no-untyped-call]
    transport.dataReceived(b"?")
    assert wire.value() == b"AMQP\x00\x00\x09\x01"
