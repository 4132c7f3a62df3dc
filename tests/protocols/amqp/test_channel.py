from typing import Any

import pytest
from pamqp import commands

from tests.support.amqp_peer import (
    PERSISTENT,
    AmqpBroker,
    AmqpPeer,
    Received,
    method_frame,
    publish_frames,
)

Basic, Channel, Queue = commands.Basic, commands.Channel, commands.Queue


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("q")
    return peer


def publish_numbers(peer: AmqpPeer, *numbers: int) -> None:
    for number in numbers:
        peer.publish("q", b"%d" % number)


def numbers(deliveries: list[Received]) -> list[int]:
    return [int(delivery.body) for delivery in deliveries]


def redelivered(deliveries: list[Received]) -> list[tuple[int, bool]]:
    return [(int(each.body), each.command.redelivered) for each in deliveries]


def tags(deliveries: list[Received]) -> list[int]:
    return [delivery.command.delivery_tag for delivery in deliveries]


class TestLife:
    def test_close_and_open_again(self, peer: AmqpPeer) -> None:
        """A number may be used again at once; tags and confirms begin again."""
        peer.call(commands.Confirm.Select())
        publish_numbers(peer, 1)
        assert peer.receive().command.delivery_tag == 1
        assert tags(peer.consume()) == [1]
        peer.send(method_frame(1, Channel.Close(200, "", 0, 0)) + method_frame(1, Channel.Open()))
        names = [received.name for received in peer.receive_all()]
        assert names == ["Channel.CloseOk", "Channel.OpenOk"]
        publish_numbers(peer, 2)
        assert peer.receive_all() == []
        deliveries = peer.consume()
        assert tags(deliveries) == [1, 2]
        assert redelivered(deliveries) == [(1, True), (2, False)]

    def test_a_soft_error_requeues_and_cancels(self, peer: AmqpPeer) -> None:
        other = peer.broker.connect()
        publish_numbers(peer, 1, 2, 3)
        peer.consume()
        other.consume()
        peer.ack(2)
        peer.ack(99)
        text = "PRECONDITION_FAILED - unknown delivery tag 99"
        assert peer.receive().failure == ("Channel.Close", 406, text)
        assert redelivered(other.deliveries()) == [(1, True), (3, True)]
        assert peer.broker.virtual_host.queues["q"].consumer_count == 1

    def test_after_a_soft_error_all_is_ignored(self, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        peer.method(1, Queue.Purge(queue="none"))
        assert peer.receive().failure[1] == 404
        peer.send(
            method_frame(1, Queue.Declare(queue="n"))
            + publish_frames(1, "", "q", b"1")
            + publish_frames(1, "", "q", b"x" * 200_000)
            + method_frame(1, Basic.Ack(7))
        )
        publish_numbers(peer, 1)
        assert peer.receive_all() == []
        # The others go on.
        answer = peer.declare("q", channel=2)
        assert answer.message_count == 0
        assert "n" not in peer.broker.virtual_host.queues
        peer.method(1, Channel.CloseOk())
        peer.open_channel(1)
        publish_numbers(peer, 2)
        assert peer.get().body == b"2"

    def test_closing_from_both_sides(self, peer: AmqpPeer) -> None:
        peer.method(1, Queue.Purge(queue="none"))
        assert peer.receive().failure[1] == 404
        peer.method(1, Channel.Close(200, "", 0, 0))
        assert peer.receive().name == "Channel.CloseOk"
        peer.method(1, Channel.CloseOk())
        peer.open_channel(1)

    def test_opening_a_channel_whose_close_was_not_answered(self, peer: AmqpPeer) -> None:
        peer.method(1, Queue.Purge(queue="none"))
        assert peer.receive().failure[1] == 404
        peer.method(1, Channel.Open())
        text = "CHANNEL_ERROR - second 'channel.open' seen"
        assert peer.receive().failure == ("Connection.Close", 504, text)

    def test_a_soft_error_in_the_middle_of_a_message(self, peer: AmqpPeer) -> None:
        """The size is refused when it is announced; the frames that follow are ignored."""
        octets = publish_frames(1, "", "q", bytes((16 << 20) + 1))
        for start in range(0, len(octets), 1 << 20):
            peer.send(octets[start : start + (1 << 20)])
        text = (
            "PRECONDITION_FAILED - message size 16777217"
            " is larger than configured max size 16777216"
        )
        assert peer.failure() == ("Channel.Close", 406, text)
        publish_numbers(peer, 1)
        assert peer.get().body == b"1"

    def test_confirms_that_were_not_sent_are_not_sent(self, peer: AmqpPeer) -> None:
        peer.declare("d", durable=True)
        peer.call(commands.Confirm.Select())
        peer.broker.disk.held = True
        peer.publish("d", b"1", PERSISTENT)
        peer.method(1, Queue.Purge(queue="none"))
        assert peer.failure()[1] == 404
        peer.broker.disk.release()
        assert peer.receive_all() == []

    def test_nor_on_a_channel_that_was_opened_again(self, peer: AmqpPeer) -> None:
        peer.declare("d", durable=True)
        peer.call(commands.Confirm.Select())
        peer.broker.disk.held = True
        peer.publish("d", b"1", PERSISTENT)
        peer.call(Channel.Close(200, "", 0, 0))
        peer.open_channel(1)
        peer.call(commands.Confirm.Select())
        peer.broker.disk.release()
        assert peer.receive_all() == []
        publish_numbers(peer, 1)
        assert peer.receive().command.delivery_tag == 1


class TestAcknowledging:
    def queue(self, peer: AmqpPeer) -> Any:
        return peer.broker.virtual_host.queues["q"]

    @pytest.mark.parametrize(
        ("acks", "left"),
        [
            ([(1, False)], [2, 3, 4, 5]),
            ([(3, False), (1, False), (2, False)], [4, 5]),
            ([(5, False), (4, True)], []),
            ([(3, True)], [4, 5]),
            ([(2, False), (4, True)], [5]),
            ([(0, True)], []),
            ([(0, True), (0, True)], []),
            ([(1, False), (2, False), (4, False), (5, True)], []),
        ],
    )
    @pytest.mark.parametrize("together", [True, False])
    def test_what_is_left(
        self, peer: AmqpPeer, acks: list[tuple[int, bool]], left: list[int], together: bool
    ) -> None:
        publish_numbers(peer, 1, 2, 3, 4, 5)
        assert numbers(peer.consume()) == [1, 2, 3, 4, 5]
        frames = [method_frame(1, Basic.Ack(tag, multiple)) for tag, multiple in acks]
        for octets in [b"".join(frames)] if together else frames:
            peer.send(octets)
        assert peer.receive_all() == []
        assert self.queue(peer).unsettled_count == len(left)
        peer.method(1, Basic.Recover(requeue=True))
        recovered, *deliveries = peer.receive_all()
        assert recovered.name == "Basic.RecoverOk"
        assert redelivered(deliveries) == [(number, True) for number in left]
        assert tags(deliveries) == list(range(6, 6 + len(left)))

    @pytest.mark.parametrize(
        ("command", "tag"),
        [
            (Basic.Ack(99), 99),
            (Basic.Ack(0), 0),
            (Basic.Ack(99, True), 99),
            (Basic.Ack(1, True), 1),
            (Basic.Nack(99), 99),
            (Basic.Nack(99, True), 99),
            (Basic.Reject(99), 99),
            (Basic.Reject(0), 0),
            (Basic.Ack((1 << 64) - 1), (1 << 64) - 1),
        ],
    )
    def test_unknown_tags(self, peer: AmqpPeer, command: Any, tag: int) -> None:
        publish_numbers(peer, 1, 2)
        peer.consume()
        peer.ack(1)
        peer.method(1, command)
        close = peer.receive()
        text = f"PRECONDITION_FAILED - unknown delivery tag {tag}"
        assert close.failure == ("Channel.Close", 406, text)
        assert (close.command.class_id << 16) + close.command.method_id == command.index

    def test_acks_before_an_unknown_one_count(self, peer: AmqpPeer) -> None:
        """Also if they came in one read with it, and others after it do not."""
        publish_numbers(peer, 1, 2, 3, 4)
        peer.consume()
        peer.send(b"".join(method_frame(1, Basic.Ack(tag)) for tag in (1, 2, 99, 3)))
        assert peer.failure()[1] == 406
        assert redelivered(peer.consume()) == [(3, True), (4, True)]

    def test_twice_is_once_too_often(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1)
        peer.consume()
        peer.send(method_frame(1, Basic.Ack(1)) * 2)
        assert peer.failure()[2] == "PRECONDITION_FAILED - unknown delivery tag 1"

    def test_what_needs_no_ack_gets_none(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1)
        assert tags(peer.consume(no_ack=True)) == [1]
        assert self.queue(peer).unsettled_count == 0
        peer.ack(1)
        assert peer.failure()[1] == 406

    def test_zero_of_nothing_is_fine(self, peer: AmqpPeer) -> None:
        peer.ack(0, multiple=True)
        peer.method(1, Basic.Nack(delivery_tag=0, multiple=True))
        assert peer.receive_all() == []

    def test_several_queues_and_gets_mixed(self, peer: AmqpPeer) -> None:
        peer.declare("r")
        publish_numbers(peer, 1, 2)
        peer.publish("r", b"3")
        peer.publish("r", b"4")
        assert peer.get().command.delivery_tag == 1
        assert tags(peer.consume("r", "r")) == [2, 3]
        assert peer.get().command.delivery_tag == 4
        peer.ack(3, multiple=True)
        peer.method(1, Basic.Reject(delivery_tag=4))
        assert redelivered([peer.get()]) == [(2, True)]
        assert peer.broker.virtual_host.queues["r"].unsettled_count == 0

    def test_settled_ones_do_not_survive_a_restart(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare("d", durable=True)
        for number in range(5):
            peer.publish("d", b"%d" % number, PERSISTENT)
        peer.consume("d")
        peer.ack(2)
        peer.ack(4)
        broker.restart()
        assert redelivered(broker.connect().consume("d")) == [(0, True), (2, True), (4, True)]


class TestRejecting:
    @pytest.mark.parametrize(
        ("commands", "again"),
        [
            ([Basic.Nack(2)], [2]),
            ([Basic.Reject(2)], [2]),
            ([Basic.Nack(2, True)], [1, 2]),
            ([Basic.Nack(0, True)], [1, 2, 3]),
            ([Basic.Nack(3), Basic.Nack(1)], [1, 3]),
            ([Basic.Reject(3), Basic.Reject(2), Basic.Reject(1)], [1, 2, 3]),
            ([Basic.Reject(1, False)], []),
            ([Basic.Nack(2, True, False)], []),
            ([Basic.Nack(2, False, False), Basic.Nack(0, True)], [1, 3]),
            ([Basic.Recover(requeue=True)], [1, 2, 3]),
        ],
    )
    def test_back_to_its_place(self, peer: AmqpPeer, commands: list[Any], again: list[int]) -> None:
        """What comes back is before what was never delivered, in its old order."""
        publish_numbers(peer, 1, 2, 3, 4)
        for _ in range(3):
            peer.get()
        for command in commands:
            peer.method(1, command)
        peer.receive_all()
        expected = [*((number, True) for number in again), (4, False)]
        assert redelivered(peer.consume()) == expected

    def test_dropped_is_dropped(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1)
        peer.get()
        peer.method(1, Basic.Reject(delivery_tag=1, requeue=False))
        queue = peer.broker.virtual_host.queues["q"]
        assert (queue.ready_count, queue.unsettled_count) == (0, 0)

    def test_the_only_consumer_gets_it_again(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1)
        peer.consume()
        peer.method(1, Basic.Nack(delivery_tag=1))
        (delivery,) = peer.deliveries()
        assert (delivery.command.delivery_tag, delivery.command.redelivered) == (2, True)

    @pytest.mark.filterwarnings("ignore:This command is deprecated")
    def test_recover_async_is_not_answered(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1, 2)
        peer.consume()
        peer.method(1, Basic.RecoverAsync(requeue=True))
        assert redelivered(peer.deliveries()) == [(1, True), (2, True)]


class TestPrefetch:
    def test_is_each_consumers_own(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, *range(10))
        peer.call(Basic.Qos(prefetch_count=2))
        assert numbers(peer.consume(tag="a")) == [0, 1]
        peer.call(Basic.Qos(prefetch_count=3))
        assert numbers(peer.consume(tag="b")) == [2, 3, 4]
        peer.ack(1)
        (delivery,) = peer.deliveries()
        assert (delivery.command.consumer_tag, delivery.body) == ("a", b"5")
        peer.ack(5, multiple=True)
        received = [(each.command.consumer_tag, int(each.body)) for each in peer.deliveries()]
        assert sorted(received) == [("a", 6), ("b", 7), ("b", 8), ("b", 9)] or len(received) == 4

    def test_is_not_for_consumers_that_are_there(self, peer: AmqpPeer) -> None:
        peer.consume()
        peer.call(Basic.Qos(prefetch_count=1))
        publish_numbers(peer, 1, 2, 3)
        assert numbers(peer.deliveries()) == [1, 2, 3]

    def test_is_not_for_those_who_do_not_ack(self, peer: AmqpPeer) -> None:
        peer.call(Basic.Qos(prefetch_count=1))
        peer.call(Basic.Qos(prefetch_count=1, global_=True))
        publish_numbers(peer, 1, 2, 3)
        assert numbers(peer.consume(no_ack=True)) == [1, 2, 3]

    def test_get_does_not_count(self, peer: AmqpPeer) -> None:
        peer.call(Basic.Qos(prefetch_count=1, global_=True))
        publish_numbers(peer, 1, 2, 3)
        assert peer.get().body == b"1"
        assert peer.get().body == b"2"
        assert numbers(peer.consume()) == [3]

    def test_of_the_channel_is_shared(self, peer: AmqpPeer) -> None:
        """By all its consumers, of one queue and of several, and at once."""
        peer.declare("r")
        publish_numbers(peer, *range(10))
        peer.call(Basic.Qos(prefetch_count=3, global_=True))
        first = peer.consume(tag="a")
        assert numbers(first) == [0, 1, 2]
        assert peer.consume(tag="b") == []
        peer.publish("r", b"10")
        assert peer.consume("r", "c") == []
        peer.ack(1)
        assert len(peer.deliveries()) == 1
        peer.method(1, Basic.Qos(prefetch_count=0, global_=True))
        assert len(peer.receive_all()) == 1 + 7

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 7])
    def test_of_the_channel_is_never_exceeded(self, peer: AmqpPeer, limit: int) -> None:
        """Though its consumers stand in line for the same messages."""
        peer.call(Basic.Qos(prefetch_count=limit, global_=True))
        for tag in "abc":
            peer.consume(tag=tag)
        other = peer.broker.connect()
        peer.send(b"".join(publish_frames(1, "", "q", b"%d" % number) for number in range(20)))
        seen: list[int] = []
        while deliveries := peer.deliveries():
            seen += numbers(deliveries)
            assert len(deliveries) == min(limit, 20 - len(seen) + len(deliveries))
            peer.ack(0, multiple=True)
        assert seen == list(range(20))
        assert other.get().name == "Basic.GetEmpty"

    def test_the_smaller_one_counts(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, *range(10))
        peer.call(Basic.Qos(prefetch_count=4))
        peer.call(Basic.Qos(prefetch_count=3, global_=True))
        assert len(peer.consume(tag="a")) == 3
        peer.method(1, Basic.Qos(prefetch_count=10, global_=True))
        assert len(peer.receive_all()) == 1 + 1

    @pytest.mark.parametrize("global_", [True, False])
    def test_is_given_back(self, peer: AmqpPeer, global_: bool) -> None:
        """By an ack, a nack, a reject and a recover."""
        publish_numbers(peer, *range(10))
        peer.call(Basic.Qos(prefetch_count=2, global_=global_))
        assert numbers(peer.consume()) == [0, 1]
        peer.ack(1)
        assert numbers(peer.deliveries()) == [2]
        peer.method(1, Basic.Reject(delivery_tag=2, requeue=False))
        assert numbers(peer.deliveries()) == [3]
        peer.method(1, Basic.Nack(delivery_tag=3, requeue=True))
        assert numbers(peer.deliveries()) == [2]
        peer.method(1, Basic.Recover(requeue=True))
        assert numbers(peer.receive_all()[1:]) == [2, 3]
        peer.method(1, Basic.Nack(delivery_tag=0, multiple=True, requeue=False))
        assert numbers(peer.deliveries()) == [4, 5]

    def test_grows_to_65535(self, peer: AmqpPeer) -> None:
        peer.call(Basic.Qos(prefetch_count=65535))
        publish_numbers(peer, *range(100))
        assert len(peer.consume()) == 100


class TestGet:
    def test_counts_what_remains(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1, 2, 3)
        for number, left in ((1, 2), (2, 1), (3, 0)):
            answer = peer.get(no_ack=number == 2)
            assert (int(answer.body), answer.command.message_count) == (number, left)
            assert answer.command.delivery_tag == number
            assert not answer.command.redelivered
        empty = peer.get()
        assert (empty.name, empty.command.cluster_id) == ("Basic.GetEmpty", "")
        assert peer.broker.virtual_host.queues["q"].unsettled_count == 2

    def test_returns_what_was_published(self, peer: AmqpPeer) -> None:
        peer.call(Queue.Bind(queue="q", exchange="amq.topic", routing_key="#"))
        body = bytes(range(256)) * 1000
        properties = b"\x10\x40\x01" + (1 << 63).to_bytes(8, "big")
        peer.publish("a.b", body, properties, exchange="amq.topic")
        answer = peer.get()
        assert (answer.properties, answer.body) == (properties, body)
        assert (answer.command.exchange, answer.command.routing_key) == ("amq.topic", "a.b")

    def test_takes_from_a_queue_with_an_exclusive_consumer(self, peer: AmqpPeer) -> None:
        peer.call(Basic.Qos(prefetch_count=1))
        peer.consume(exclusive=True)
        publish_numbers(peer, 1, 2)
        assert numbers(peer.deliveries()) == [1]
        assert peer.broker.connect().get().body == b"2"


class TestConsuming:
    def test_tags_are_made_up(self, peer: AmqpPeer) -> None:
        tag = peer.call(Basic.Consume(queue="q")).consumer_tag
        assert tag.startswith("amq.ctag-")
        assert len(tag) == 31
        peer.call(Basic.Cancel(consumer_tag=tag))

    def test_a_tag_is_for_one_consumer(self, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        peer.consume(tag="t")
        peer.consume(tag="t", channel=2)
        text = "NOT_ALLOWED - attempt to reuse consumer tag 't'"
        failure = peer.fail(Basic.Consume(queue="q", consumer_tag="t"))
        assert failure == ("Connection.Close", 530, text)

    def test_cancel_leaves_what_is_in_flight(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1, 2)
        peer.consume()
        assert peer.call(Basic.Cancel(consumer_tag="t")).consumer_tag == "t"
        publish_numbers(peer, 3)
        assert peer.deliveries() == []
        peer.ack(1)
        peer.method(1, Basic.Nack(delivery_tag=2))
        assert redelivered(peer.consume()) == [(2, True), (3, False)]

    def test_the_answer_to_a_delete_comes_before_the_cancel(self, peer: AmqpPeer) -> None:
        peer.consume(tag="t")
        peer.method(1, Queue.Delete(queue="q"))
        assert [each.name for each in peer.receive_all()] == ["Queue.DeleteOk", "Basic.Cancel"]

    def test_cancel_of_nothing(self, peer: AmqpPeer) -> None:
        assert peer.call(Basic.Cancel(consumer_tag="none")).consumer_tag == "none"
        peer.method(1, Basic.Cancel(consumer_tag="none", nowait=True))
        assert peer.receive_all() == []

    def test_exclusively(self, peer: AmqpPeer) -> None:
        other = peer.broker.connect()
        text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
        peer.consume(exclusive=True)
        for exclusive in (True, False):
            command = Basic.Consume(queue="q", exclusive=exclusive)
            assert other.fail(command) == ("Channel.Close", 403, text)
        peer.call(Basic.Cancel(consumer_tag="t"))
        other.consume()
        assert peer.fail(Basic.Consume(queue="q", exclusive=True)) == ("Channel.Close", 403, text)

    def test_in_turn(self, peer: AmqpPeer) -> None:
        """One message each, wherever the last round ended."""
        peers = [peer.broker.connect() for _ in range(3)]
        for each in peers:
            each.consume()
        peer.send(b"".join(publish_frames(1, "", "q", b"%d" % number) for number in range(7)))
        assert [numbers(each.deliveries()) for each in peers] == [[0, 3, 6], [1, 4], [2, 5]]
        publish_numbers(peer, 7, 8)
        assert [numbers(each.deliveries()) for each in peers] == [[], [7], [8]]
        peers[1].call(Basic.Cancel(consumer_tag="t"))
        publish_numbers(peer, 9)
        publish_numbers(peer, 10)
        got = [numbers(each.deliveries()) for each in peers]
        assert sorted(got) == [[], [9], [10]] or sorted(got) == [[], [10], [9]]
        assert got[1] == []

    def test_those_with_credit_only(self, peer: AmqpPeer) -> None:
        full, free = peer.broker.connect(), peer.broker.connect()
        for each, prefetch_count in ((full, 1), (free, 0)):
            each.call(Basic.Qos(prefetch_count=prefetch_count))
            each.consume()
        publish_numbers(peer, *range(6))
        got = [numbers(full.deliveries()), numbers(free.deliveries())]
        assert got == [[0], [1, 2, 3, 4, 5]]
        full.ack(1)
        publish_numbers(peer, 6)
        assert len(full.deliveries() + free.deliveries()) == 1

    def test_nowait(self, peer: AmqpPeer) -> None:
        publish_numbers(peer, 1)
        peer.method(1, Basic.Consume(queue="q", consumer_tag="t", nowait=True))
        assert numbers(peer.deliveries()) == [1]
        peer.method(1, Basic.Cancel(consumer_tag="t", nowait=True))
        publish_numbers(peer, 2)
        assert peer.receive_all() == []
