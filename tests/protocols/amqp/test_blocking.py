"""A disk that is behind or full: who waits, what they hear, and that nothing is lost."""

import pytest
from pamqp import commands

from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer, publish_frames
from tests.support.disk import FullDisk

WORDY = ("connection.blocked", "consumer_cancel_notify")


def overwhelm(peer: AmqpPeer) -> None:
    """Publish more than the disk is allowed to be behind."""
    peer.broker.disk.held = True
    for _ in range(70):
        peer.send(publish_frames(1, "", "q", bytes(1 << 20), PERSISTENT))
        if peer.wire.producerState == "paused":
            return
    raise AssertionError("never throttled")


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect(capabilities=WORDY, heartbeat=10)
    peer.declare(durable=True)
    return peer


def names(peer: AmqpPeer) -> list[str]:
    return [each.name for each in peer.receive_all()]


class TestBehind:
    def test_a_moment_is_not_told(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        overwhelm(peer)
        broker.clock.advance(0.9)
        broker.disk.release()
        broker.clock.advance(5)
        assert peer.receive_all() == []
        assert peer.wire.producerState == "producing"

    def test_what_lasts_longer_is(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        overwhelm(peer)
        broker.clock.advance(1)
        blocked = peer.receive()
        assert (blocked.name, blocked.channel) == ("Connection.Blocked", 0)
        assert blocked.command.reason == "waiting for the disk"
        broker.clock.advance(5)
        assert peer.receive_all() == []
        broker.disk.release()
        assert names(peer) == ["Connection.Unblocked"]
        overwhelm(peer)
        broker.clock.advance(1)
        assert names(peer) == ["Connection.Blocked"]
        broker.disk.release()

    def test_only_to_those_who_want_to_hear_it(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare(durable=True)
        overwhelm(peer)
        broker.clock.advance(5)
        broker.disk.release()
        assert peer.receive_all() == []

    def test_consumers_hear_nothing(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        consumer = broker.connect(capabilities=WORDY)
        overwhelm(peer)
        broker.clock.advance(5)
        assert consumer.receive_all() == []
        assert consumer.wire.producerState == "producing"
        broker.disk.release()

    def test_the_peer_may_go(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        overwhelm(peer)
        peer.lose()
        broker.clock.advance(5)
        broker.disk.release()


class TestFull:
    @pytest.mark.parametrize(
        "octets",
        [
            publish_frames(1, "", "q", b"x" * 500, PERSISTENT),
            publish_frames(1, "", "q", b"x" * 500, PERSISTENT, part_size=200),
        ],
        ids=["hot", "general"],
    )
    def test_what_has_no_room_waits(
        self, broker: AmqpBroker, peer: AmqpPeer, octets: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        peer.call(commands.Confirm.Select())
        disk = FullDisk(monkeypatch, 300)
        peer.send(octets * 2 + octets[:30])
        blocked = peer.receive()
        assert (blocked.name, blocked.command.reason) == ("Connection.Blocked", "low on disk")
        assert peer.wire.producerState == "paused"
        for _ in range(60):
            broker.clock.advance(1)
            assert peer.receive_all() == []
            assert not peer.hung_up
        assert peer.heartbeats_count > 5
        disk.room = 1 << 20
        broker.clock.advance(1)
        assert sorted(names(peer)) == ["Basic.Ack", "Connection.Unblocked"]
        assert peer.wire.producerState == "producing"
        peer.send(octets[30:])
        assert names(peer) == ["Basic.Ack"]
        assert [len(peer.get().body) for _ in range(3)] == [500] * 3
        assert peer.get().name == "Basic.GetEmpty"

    def test_what_has_room_is_confirmed(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of one read, the batch before the one that has no room."""
        peer.open_channel(2)
        peer.call(commands.Confirm.Select())
        peer.call(commands.Confirm.Select(), 2)
        disk = FullDisk(monkeypatch, 1000)
        small = publish_frames(1, "", "q", b"small", PERSISTENT)
        large = publish_frames(2, "", "q", b"x" * 3000, PERSISTENT)
        peer.send(small + large + large + small)
        assert sorted((each.name, each.channel) for each in peer.receive_all()) == [
            ("Basic.Ack", 1),
            ("Connection.Blocked", 0),
        ]
        disk.room = 1 << 20
        broker.clock.advance(1)
        assert sorted((each.name, each.channel) for each in peer.receive_all()) == [
            ("Basic.Ack", 1),
            ("Basic.Ack", 2),
            ("Connection.Unblocked", 0),
        ]
        assert [len(peer.get().body) for _ in range(4)] == [5, 3000, 3000, 5]

    def test_a_transaction_waits_whole(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        peer.call(commands.Tx.Select())
        disk = FullDisk(monkeypatch, 1000)
        for _ in range(10):
            peer.publish("q", b"x" * 400, PERSISTENT)
        peer.publish("nowhere", b"", mandatory=True)
        peer.method(1, commands.Tx.Commit())
        assert names(peer) == ["Connection.Blocked"]
        assert broker.virtual_host.queues["q"].ready_count == 0
        disk.room = 1 << 20
        broker.clock.advance(1)
        assert sorted(names(peer)) == ["Basic.Return", "Connection.Unblocked", "Tx.CommitOk"]
        assert broker.virtual_host.queues["q"].ready_count == 10

    def test_a_peer_that_is_not_told_waits_as_well(
        self, broker: AmqpBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        peer = broker.connect()
        peer.declare(durable=True)
        disk = FullDisk(monkeypatch, 300)
        peer.publish("q", b"x" * 500, PERSISTENT)
        broker.clock.advance(10)
        assert (peer.receive_all(), peer.hung_up) == ([], False)
        disk.room = 1 << 20
        broker.clock.advance(1)
        assert peer.get().body == b"x" * 500

    def test_a_declaration_is_refused(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = FullDisk(monkeypatch, 5)
        refused = ("Connection.Close", 506, "RESOURCE_ERROR - no space left on the disk")
        for command in (
            commands.Queue.Declare(queue="r", durable=True),
            commands.Exchange.Declare(exchange="e", exchange_type="direct", durable=True),
            commands.Queue.Bind(queue="q", exchange="amq.direct", routing_key="k"),
        ):
            other = broker.connect()
            assert other.fail(command) == refused
        disk.room = 1 << 20
        assert set(broker.virtual_host.queues) == {"q"}
        assert "e" not in broker.virtual_host.exchanges
        assert not broker.virtual_host.exchanges["amq.direct"].bindings

    def test_what_cannot_be_a_dead_letter_goes_back(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a", "b"):
            arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
            peer.declare(name, durable=True, arguments=arguments)
            peer.publish(name, b"m", PERSISTENT)
            assert len(peer.consume(name, name)) == 1
        disk = FullDisk(monkeypatch, room=0)
        nack = commands.Basic.Nack(delivery_tag=0, multiple=True, requeue=False)
        refused = ("Connection.Close", 506, "RESOURCE_ERROR - no space left on the disk")
        assert peer.fail(nack) == refused
        disk.room = 1 << 20
        queues = broker.virtual_host.queues
        assert [queues[name].ready_count for name in ("a", "b", "q")] == [1, 1, 0]

    def test_a_connection_that_is_closed_meanwhile(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = FullDisk(monkeypatch, 300)
        peer.publish("q", b"x" * 500, PERSISTENT)
        peer.connection.shut_down("enough")
        broker.gateway.turn.end()
        assert names(peer) == ["Connection.Blocked", "Connection.Unblocked", "Connection.Close"]
        peer.method(0, commands.Connection.CloseOk())
        assert peer.hung_up
        disk.room = 1 << 20
        assert broker.virtual_host.queues["q"].ready_count == 0

    def test_nothing_is_sent_before_it_is_written_down(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A consumer's progress has no room: nobody is dropped, all go on when there is."""
        for _ in range(3):
            peer.publish("q", b"x", PERSISTENT)
        disk = FullDisk(monkeypatch, 0)
        peer.method(1, commands.Basic.Consume(queue="q", consumer_tag="t"))
        assert peer.receive_all() == []
        other = broker.peer()
        other.send(b"AMQP\0\0\x09\x01")
        broker.clock.advance(3)
        assert (peer.receive_all(), other.receive_all()) == ([], [])
        disk.room = 1 << 20
        broker.clock.advance(1)
        assert names(peer) == ["Basic.ConsumeOk"] + ["Basic.Deliver"] * 3
        assert names(other) == ["Connection.Start"]
