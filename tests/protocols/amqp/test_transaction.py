import pytest
from pamqp import commands

from core.consume_queue import RUN_WIDTH
from protocols.amqp.config import AmqpConfig
from tests.support.amqp_peer import (
    PERSISTENT,
    TRANSIENT,
    AmqpBroker,
    AmqpPeer,
    method_frame,
    publish_frames,
)

COMMIT = commands.Tx.Commit()
ROLLBACK = commands.Tx.Rollback()


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    """A client with a durable queue, whose channel is transactional."""
    peer = broker.connect()
    peer.declare(durable=True)
    assert isinstance(peer.call(commands.Tx.Select()), commands.Tx.SelectOk)
    return peer


def commit(peer: AmqpPeer, channel: int = 1) -> None:
    assert isinstance(peer.call(COMMIT, channel), commands.Tx.CommitOk)


def rollback(peer: AmqpPeer) -> None:
    assert isinstance(peer.call(ROLLBACK), commands.Tx.RollbackOk)


def counts(broker: AmqpBroker, name: str = "q") -> tuple[int, int]:
    queue = broker.virtual_host.queues[name]
    return queue.ready_count, queue.unsettled_count


class TestPublishing:
    @pytest.mark.parametrize("properties", [PERSISTENT, TRANSIENT])
    def test_nothing_is_published_before_commit(
        self, broker: AmqpBroker, peer: AmqpPeer, properties: bytes
    ) -> None:
        peer.publish("q", b"one", properties)
        peer.publish("q", b"", properties)
        peer.publish("q", b"x" * 300_000, properties)
        assert counts(broker) == (0, 0)
        commit(peer)
        assert [peer.get(no_ack=True).body for _ in range(3)] == [b"one", b"", b"x" * 300_000]

    def test_a_route_of_the_hot_path_is_forgotten_by_select(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        peer.publish("q", b"at once")
        peer.publish("q", b"at once")
        peer.call(commands.Tx.Select())
        peer.publish("q", b"later")
        assert counts(broker) == (2, 0)

    def test_rollback_drops_what_was_published(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"dropped")
        rollback(peer)
        peer.publish("q", b"kept")
        commit(peer)
        assert counts(broker) == (1, 0)
        assert peer.get().body == b"kept"

    def test_the_next_transaction_begins_empty(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"once")
        commit(peer)
        commit(peer)
        assert counts(broker) == (1, 0)

    def test_select_again_changes_nothing(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"kept")
        peer.call(commands.Tx.Select())
        commit(peer)
        assert counts(broker) == (1, 0)

    def test_closing_the_channel_is_a_rollback(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"dropped")
        peer.call(commands.Channel.Close(200, "", 0, 0))
        assert counts(broker) == (0, 0)
        assert peer.connection.transactions_size == 0

    def test_the_route_is_chosen_when_published(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.call(commands.Queue.Bind(queue="q", exchange="amq.direct", routing_key="k"))
        peer.publish("k", b"routed", exchange="amq.direct")
        peer.call(commands.Queue.Unbind(queue="q", exchange="amq.direct", routing_key="k"))
        peer.publish("k", b"unroutable", exchange="amq.direct")
        peer.call(commands.Queue.Bind(queue="q", exchange="amq.direct", routing_key="k"))
        commit(peer)
        assert counts(broker) == (1, 0)

    def test_a_queue_that_is_gone_at_commit_gets_nothing(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        peer.publish("q", b"too late", PERSISTENT)
        peer.call(commands.Queue.Delete(queue="q"))
        commit(peer)
        peer.declare(durable=True)
        assert counts(broker) == (0, 0)

    def test_mandatory_messages_return_before_commit_ok(self, peer: AmqpPeer) -> None:
        peer.publish("nowhere", b"returned", PERSISTENT, mandatory=True)
        peer.publish("nowhere", b"dropped", PERSISTENT)
        peer.publish("q", b"routed", PERSISTENT, mandatory=True)
        assert peer.receive_all() == []
        peer.method(1, COMMIT)
        returned, ok = peer.receive_all()
        assert (returned.name, returned.body) == ("Basic.Return", b"returned")
        assert ok.name == "Tx.CommitOk"

    def test_an_error_is_told_when_published(self, peer: AmqpPeer) -> None:
        peer.publish("k", exchange="none")
        assert peer.failure() == (
            "Channel.Close",
            404,
            "NOT_FOUND - no exchange 'none' in vhost '/'",
        )

    def test_other_channels_are_not_transactional(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        peer.send(publish_frames(2, "", "q", b"2") + publish_frames(1, "", "q", b"1"))
        assert counts(broker) == (1, 0)

    def test_all_is_one_record_of_the_log(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        for number in range(5):
            peer.publish("q", b"%d" % number, PERSISTENT)
        commit(peer)
        index = broker.virtual_host.queues["q"].light.index
        assert len(set(index.runs[1::RUN_WIDTH])) == 1
        broker.restart()
        assert counts(broker) == (5, 0)

    def test_what_is_held_is_bounded(self, broker: AmqpBroker) -> None:
        broker.config = AmqpConfig(transactions_size_max=10_000)
        broker.restart()
        peer = broker.connect()
        peer.open_channel(2)
        peer.declare()
        for channel in (1, 2):
            peer.call(commands.Tx.Select(), channel)
            peer.publish("q", b"x" * 4_000, channel=channel)
        peer.publish("q", b"x" * 4_000, channel=2)
        assert peer.failure(2) == (
            "Channel.Close",
            406,
            "PRECONDITION_FAILED - the transactions of this connection are larger than 10000 bytes",
        )
        peer.publish("q", b"x" * 4_000)
        commit(peer)
        assert counts(broker) == (2, 0)
        assert peer.connection.transactions_size == 0


class TestDurability:
    def test_commit_ok_waits_for_the_disk(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        broker.disk.held = True
        peer.publish("q", b"one", PERSISTENT)
        peer.method(1, COMMIT)
        assert peer.receive_all() == []
        broker.disk.release()
        assert [each.name for each in peer.receive_all()] == ["Tx.CommitOk"]

    def test_other_channels_do_not_wait(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        broker.disk.held = True
        peer.publish("q", b"one", PERSISTENT)
        peer.method(1, COMMIT)
        peer.method(2, commands.Basic.Get(queue="q"))
        assert [(each.channel, each.body) for each in peer.receive_all()] == [(2, b"one")]
        broker.disk.release()

    def test_what_is_transient_does_not_wait(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        broker.disk.held = True
        peer.publish("q", b"one", TRANSIENT)
        commit(peer)
        broker.disk.release()

    @pytest.mark.parametrize(
        "frames",
        [method_frame(1, COMMIT), publish_frames(1, "", "q", b"two")],
    )
    def test_nothing_may_come_meanwhile(
        self, broker: AmqpBroker, peer: AmqpPeer, frames: bytes
    ) -> None:
        broker.disk.held = True
        peer.publish("q", b"one", PERSISTENT)
        peer.method(1, COMMIT)
        peer.send(frames)
        assert peer.failure() == (
            "Connection.Close",
            504,
            "CHANNEL_ERROR - unexpected command while processing 'tx.commit'",
        )
        broker.disk.release()
        assert peer.receive_all() == []
        assert counts(broker) == (1, 0)

    def test_a_channel_that_closes_meanwhile_gets_no_answer(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        broker.disk.held = True
        peer.publish("q", b"one", PERSISTENT)
        peer.method(1, COMMIT)
        peer.method(1, commands.Channel.Close(200, "", 0, 0))
        assert peer.receive().name == "Channel.CloseOk"
        broker.disk.release()
        assert peer.receive_all() == []


class TestSettling:
    @pytest.fixture
    def consumer(self, broker: AmqpBroker) -> AmqpPeer:
        """A transactional client with three messages in flight."""
        peer = broker.connect()
        peer.declare(durable=True)
        for number in range(3):
            peer.publish("q", b"%d" % number, PERSISTENT)
        peer.call(commands.Tx.Select())
        assert [each.body for each in peer.consume()] == [b"0", b"1", b"2"]
        return peer

    def test_acks_wait_for_commit(self, broker: AmqpBroker, consumer: AmqpPeer) -> None:
        consumer.send(
            b"".join(method_frame(1, commands.Basic.Ack(delivery_tag=tag)) for tag in (1, 2, 3))
        )
        assert counts(broker) == (0, 3)
        commit(consumer)
        assert counts(broker) == (0, 0)

    def test_multiple_acks_wait_for_commit(self, broker: AmqpBroker, consumer: AmqpPeer) -> None:
        consumer.ack(2, multiple=True)
        assert counts(broker) == (0, 3)
        commit(consumer)
        assert counts(broker) == (0, 1)

    def test_nacks_and_rejects_wait_for_commit(
        self, broker: AmqpBroker, consumer: AmqpPeer
    ) -> None:
        consumer.method(1, commands.Basic.Nack(delivery_tag=1, requeue=True))
        consumer.method(1, commands.Basic.Reject(delivery_tag=2, requeue=False))
        consumer.ack(3)
        assert consumer.receive_all() == []
        consumer.method(1, COMMIT)
        names = [(each.name, each.body) for each in consumer.receive_all()]
        assert sorted(names) == [("Basic.Deliver", b"0"), ("Tx.CommitOk", b"")]
        assert counts(broker) == (0, 1)

    def test_rollback_leaves_them_outstanding(self, broker: AmqpBroker, consumer: AmqpPeer) -> None:
        consumer.ack(2)
        consumer.method(1, commands.Basic.Reject(delivery_tag=1, requeue=True))
        rollback(consumer)
        assert counts(broker) == (0, 3)
        consumer.ack(2, multiple=True)
        commit(consumer)
        assert counts(broker) == (0, 1)

    def test_a_tag_is_taken_only_once(self, consumer: AmqpPeer) -> None:
        consumer.ack(1)
        consumer.ack(1)
        assert consumer.failure() == (
            "Channel.Close",
            406,
            "PRECONDITION_FAILED - unknown delivery tag 1",
        )

    def test_a_prefetch_counts_them_until_commit(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        for number in range(2):
            peer.publish("q", b"%d" % number)
        peer.call(commands.Basic.Qos(prefetch_count=1))
        peer.call(commands.Tx.Select())
        assert [each.body for each in peer.consume()] == [b"0"]
        peer.ack(1)
        assert peer.receive_all() == []
        peer.method(1, COMMIT)
        assert {each.name for each in peer.receive_all()} == {"Tx.CommitOk", "Basic.Deliver"}

    def test_closing_the_channel_requeues_them(
        self, broker: AmqpBroker, consumer: AmqpPeer
    ) -> None:
        consumer.ack(1)
        consumer.call(commands.Channel.Close(200, "", 0, 0))
        assert counts(broker) == (3, 0)

    def test_a_restart_after_commit_knows_both_halves(
        self, broker: AmqpBroker, consumer: AmqpPeer
    ) -> None:
        consumer.ack(3, multiple=True)
        consumer.call(commands.Basic.Cancel(consumer_tag="t"))
        consumer.publish("q", b"next", PERSISTENT)
        commit(consumer)
        broker.restart()
        peer = broker.connect()
        assert peer.get().body == b"next"
        assert counts(broker) == (0, 1)


class TestModes:
    def test_confirms_do_not_go_with_transactions(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.call(commands.Confirm.Select())
        assert peer.fail(commands.Tx.Select()) == (
            "Channel.Close",
            406,
            "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        )
        peer.call(commands.Tx.Select())
        assert peer.fail(commands.Confirm.Select()) == (
            "Channel.Close",
            406,
            "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
        )

    @pytest.mark.parametrize("command", [COMMIT, ROLLBACK])
    def test_only_a_transactional_channel_ends_one(
        self, broker: AmqpBroker, command: commands.Tx.Commit
    ) -> None:
        assert broker.connect().fail(command) == (
            "Channel.Close",
            406,
            "PRECONDITION_FAILED - channel is not transactional",
        )
