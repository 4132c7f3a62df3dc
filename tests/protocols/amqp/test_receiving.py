"""What comes for many queues goes to the subscriptions of a channel at once, and is as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pamqp import commands

from core import handing
from protocols.amqp import settling
from protocols.amqp.receiving import Batches
from protocols.amqp.settling import Outstanding
from tests.support.amqp_peer import (
    PERSISTENT,
    TRANSIENT,
    AmqpBroker,
    AmqpPeer,
    Received,
    method_frame,
    publish_frames,
)

QUEUES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few come at once, they go as a batch."""
    monkeypatch.setattr(handing, "_COUNT_MIN", 1)


@pytest.fixture(params=[True, False], ids=["durable", "transient"])
def durable(request: pytest.FixtureRequest) -> bool:
    assert isinstance(request.param, bool)
    return request.param


@pytest.fixture
def consumer(broker: AmqpBroker, durable: bool) -> AmqpPeer:
    """Of all three queues."""
    peer = broker.connect()
    for queue in QUEUES:
        peer.declare(queue, durable=durable)
        assert not peer.consume(queue, tag=f"of {queue}")
    return peer


@pytest.fixture
def publish(broker: AmqpBroker, durable: bool) -> Callable[[str], None]:
    """Publish to a queue for each letter, with one read."""
    peer = broker.connect()
    serial = iter(range(1000))

    def publish(queues: str) -> None:
        properties = PERSISTENT if durable else TRANSIENT
        peer.send(
            b"".join(
                publish_frames(1, "", queue, b"%s%d" % (queue.encode(), next(serial)), properties)
                for queue in queues
            )
        )

    return publish


def texts(deliveries: Iterable[Received]) -> str:
    """Bodies, in order; those that are redelivered are marked so."""
    return " ".join(each.body.decode() + "!" * each.command.redelivered for each in deliveries)


def acks(*tags: int) -> bytes:
    return b"".join(method_frame(1, commands.Basic.Ack(delivery_tag=tag)) for tag in tags)


def left(broker: AmqpBroker) -> str:
    """What another consumer gets of each queue when the first one is gone."""
    peer = broker.connect()
    return texts(
        each for queue in QUEUES for each in peer.consume(queue, tag=f"of {queue}", no_ack=True)
    )


def test_all_is_delivered_in_order_and_acknowledged(
    broker: AmqpBroker, consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abcab")
    publish("cb")
    deliveries = consumer.deliveries()
    assert texts(deliveries) == "a0 b1 c2 a3 b4 c5 b6"
    assert [each.command.delivery_tag for each in deliveries] == [1, 2, 3, 4, 5, 6, 7]
    assert [each.command.consumer_tag for each in deliveries[:3]] == ["of a", "of b", "of c"]
    for part in (acks(1, 2), acks(3, 4, 5, 6), acks(7)):
        consumer.send(part)
    assert not consumer.receive_all()
    consumer.lose()
    assert left(broker) == ""
    broker.restart()
    assert not broker.gateway.broker._store._volatile


def test_a_lost_connection_gives_back_the_rest(
    broker: AmqpBroker, consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abcab")
    publish("cb")
    consumer.send(acks(1, 2, 3, 4))
    consumer.lose()
    assert left(broker) == "b4! b6! c5!"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([acks(4), acks(1), acks(6), acks(2)], "b4! b6! c2!", id="any order"),
        pytest.param([acks(1, 2), acks(5, 4), acks(3)], "b6! c5!", id="nearly in order"),
        pytest.param(
            [method_frame(1, commands.Basic.Ack(delivery_tag=5, multiple=True))],
            "b6! c5!",
            id="multiple",
        ),
        pytest.param(
            [acks(1), method_frame(1, commands.Basic.Ack(delivery_tag=0, multiple=True))],
            "",
            id="all",
        ),
        pytest.param(
            [acks(1), method_frame(1, commands.Basic.Reject(delivery_tag=3, requeue=False))],
            "a3! b1! b4! b6! c5!",
            id="rejected",
        ),
        pytest.param([acks(1, 2), acks(2)], "a3! b4! b6! c2! c5!", id="twice"),
        pytest.param([acks(1, 2), acks(99)], "a3! b4! b6! c2! c5!", id="unknown"),
        pytest.param(
            [acks(1), method_frame(1, commands.Tx.Select()), acks(2), acks(3)],
            "a3! b1! b4! b6! c2! c5!",
            id="uncommitted",
        ),
    ],
)
def test_other_orders_are_as_good(
    broker: AmqpBroker,
    consumer: AmqpPeer,
    publish: Callable[[str], None],
    frames: list[bytes],
    expected: str,
) -> None:
    publish("abcab")
    publish("cb")
    for frame in frames:
        consumer.send(frame)
    consumer.lose()
    assert left(broker) == expected


def test_acknowledgements_of_two_channels_may_alternate(
    broker: AmqpBroker,
    durable: bool,
    publish: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = broker.connect()
    peer.open_channel(2)
    for queue in QUEUES:
        peer.declare(queue, durable=durable)
    for channel, queue in enumerate("ab", 1):
        peer.method(channel, commands.Basic.Consume(queue=queue))
        peer.receive_all()
    publish("ab" * 200)
    assert len(peer.deliveries()) == 400
    compared: list[int] = []
    encode = Batches._acks

    def encode_acks(batches: Batches, tag: int, count: int) -> bytes:
        compared.append(count)
        return encode(batches, tag, count)

    monkeypatch.setattr(Batches, "_acks", encode_acks)
    peer.send(
        b"".join(
            method_frame(channel, commands.Basic.Ack(delivery_tag=tag))
            for tag in range(1, 200)
            for channel in (1, 2)
        )
    )
    assert sum(compared) < 2 * 400, "it takes ever longer the more have come at once"
    assert not peer.receive_all()
    peer.lose()
    assert left(broker) == "a398! b399!"


def test_batches_are_in_their_places_among_what_is_outstanding_one_by_one(
    broker: AmqpBroker,
    consumer: AmqpPeer,
    publish: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sorts_count = 0

    def counting_sorted(
        entries: Iterable[tuple[int, Outstanding]],
    ) -> list[tuple[int, Outstanding]]:
        nonlocal sorts_count
        sorts_count += 1
        return sorted(entries)

    monkeypatch.setattr(settling, "sorted", counting_sorted, raising=False)
    for _ in range(10):
        publish("ab")
        publish("c" * 20)  # That is a run, which goes through its queue.
    assert len(consumer.deliveries()) == 220
    assert broker.virtual_host.queues["a"].unsettled_count == 10
    assert not sorts_count, "as if all were looked through for each batch"
    consumer.method(1, commands.Basic.Ack(delivery_tag=22 * 9 + 1, multiple=True))
    assert sorts_count == 1
    consumer.lose()
    queues = left(broker).split()
    assert queues[0] == "b199!"
    assert len(queues) == 1 + 20


def test_an_unknown_tag_is_an_error_of_the_channel(
    consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abc")
    consumer.deliveries()
    consumer.send(acks(1, 1))
    assert consumer.failure() == (
        "Channel.Close", 406, "PRECONDITION_FAILED - unknown delivery tag 1",
    )  # fmt: skip


def test_what_is_requeued_comes_again_before_what_came_later(
    consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abcab")
    consumer.deliveries()
    consumer.method(1, commands.Basic.Nack(delivery_tag=4, multiple=False, requeue=True))
    assert texts(consumer.deliveries()) == "a3!"
    publish("ab")
    deliveries = consumer.deliveries()
    assert texts(deliveries) == "a5 b6"
    consumer.send(acks(1, 2, 3, 5, 6, 7, 8))
    assert consumer.call(commands.Queue.Declare(queue="a", passive=True)).message_count == 0
    assert not consumer.connection.channels[1].unacknowledged


def test_recover_brings_all_again(consumer: AmqpPeer, publish: Callable[[str], None]) -> None:
    publish("abcab")
    consumer.deliveries()
    consumer.send(acks(1))
    consumer.method(1, commands.Basic.Recover(requeue=True))
    answer, *deliveries = sorted(
        consumer.receive_all(), key=lambda each: each.name != "Basic.RecoverOk"
    )
    assert answer.name == "Basic.RecoverOk"
    assert sorted(texts(deliveries).split()) == ["a3!", "b1!", "b4!", "c2!"]


def test_without_acknowledgements_nothing_is_kept(
    broker: AmqpBroker, durable: bool, publish: Callable[[str], None]
) -> None:
    peer = broker.connect()
    for queue in QUEUES:
        peer.declare(queue, durable=durable)
        peer.consume(queue, tag=queue, no_ack=True)
    publish("abcab")
    assert texts(peer.deliveries()) == "a0 b1 c2 a3 b4"
    peer.lose()
    assert left(broker) == ""
    assert not broker.gateway.broker._store._volatile
    broker.restart()
    if durable:
        assert left(broker) == ""


def test_each_consumer_has_its_prefetch(
    broker: AmqpBroker, durable: bool, publish: Callable[[str], None]
) -> None:
    peer = broker.connect()
    peer.call(commands.Basic.Qos(prefetch_count=2))
    for queue in QUEUES:
        peer.declare(queue, durable=durable)
        peer.consume(queue, tag=queue)
    publish("ab")
    publish("abc")
    publish("abc")
    assert texts(peer.deliveries()) == "a0 b1 a2 b3 c4 c7"
    peer.send(acks(1, 2))
    assert texts(peer.deliveries()) == "a5 b6"
    peer.send(acks(3, 4, 5, 6, 7, 8))
    publish("ab")
    assert texts(peer.deliveries()) == "a8 b9"


def test_consumers_of_several_channels_get_theirs(
    broker: AmqpBroker, durable: bool, publish: Callable[[str], None]
) -> None:
    peers = [broker.connect() for _ in QUEUES]
    for peer, queue in zip(peers, QUEUES, strict=True):
        peer.declare(queue, durable=durable)
        peer.consume(queue, tag=queue)
    publish("abcabcc")
    assert [texts(peer.deliveries()) for peer in peers] == ["a0 a3", "b1 b4", "c2 c5 c6"]
    for peer in peers:
        peer.send(acks(1, 2))
        peer.lose()
    assert left(broker) == "c6!"


def test_odd_bodies_are_delivered_whole(broker: AmqpBroker, consumer: AmqpPeer) -> None:
    publisher = broker.connect()
    large = bytes(range(256)) * 1024
    small = broker.peer()
    small.open(frame_max=4096)
    small.open_channel(1)
    consumer.method(1, commands.Basic.Cancel(consumer_tag="of b"))
    consumer.receive_all()
    small.consume("b")
    for _ in range(2):
        publisher.send(
            publish_frames(1, "", "a", b"") + publish_frames(1, "", "b", large[:60_000])
            + publish_frames(1, "", "c", b"x") + publish_frames(1, "", "c", large)
        )  # fmt: skip
        assert consumer.bodies() == [b"", b"x", large]
        assert small.bodies() == [large[:60_000]]
    consumer.send(acks(1, 2, 3, 4, 5, 6))
    small.send(acks(1, 2))
    assert not consumer.receive_all() + small.receive_all()


def test_who_does_not_read_gets_nothing_more(
    consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abc")
    consumer.connection.pause_delivery()
    publish("abc")
    assert texts(consumer.deliveries()) == "a0 b1 c2"
    consumer.protocol.resumeProducing()
    assert sorted(texts(consumer.deliveries()).split()) == ["a3", "b4", "c5"]


def test_whoever_looks_sees_what_is_in_flight(
    broker: AmqpBroker, consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abcab")
    consumer.send(acks(1))
    (channel,) = consumer.connection.channel_facts()
    assert channel.unacknowledged_count == 4
    queues = broker.virtual_host.queues
    assert [queues[name].unsettled_count for name in QUEUES] == [1, 2, 1]
    consumer.send(acks(2, 3))
    publish("ab")
    (channel,) = consumer.connection.channel_facts()
    assert channel.unacknowledged_count == 4
    assert [queues[name].unsettled_count for name in QUEUES] == [2, 2, 0]


def test_a_shared_prefetch_counts_what_is_outstanding(
    consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abc")
    consumer.deliveries()
    consumer.call(commands.Basic.Qos(prefetch_count=4, global_=True))
    publish("abc")
    assert len(consumer.deliveries()) == 1
    consumer.send(acks(1, 2))
    assert len(consumer.deliveries()) == 2


def test_a_deleted_queue_takes_its_messages_along(
    broker: AmqpBroker, consumer: AmqpPeer, publish: Callable[[str], None]
) -> None:
    publish("abcab")
    consumer.deliveries()
    consumer.method(1, commands.Queue.Delete(queue="b"))
    consumer.receive_all()
    publish("ac")
    assert texts(consumer.deliveries()) == "a5 c6"
    consumer.send(acks(1, 2, 3))
    consumer.lose()
    broker.connect().declare("b")
    assert left(broker) == "a3! a5! c6!"


# All of it, in any order


@dataclass
class Consumer:
    """A client with a subscription to each of some queues, and what it has outstanding."""

    peer: AmqpPeer
    queues: list[str]
    outstanding: dict[int, tuple[str, int]] = field(default_factory=dict)


class ReceivingMachine(RuleBasedStateMachine):
    """Queues are lists of numbers, each with one consumer at most."""

    @initialize(
        prefetch=st.sampled_from([0, 1, 3, 50]),
        durable=st.booleans(),
        handed_count_min=st.sampled_from([1, 4]),
    )
    def begin(self, prefetch: int, durable: bool, handed_count_min: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(handing, "_COUNT_MIN", handed_count_min)
        self.directory = TemporaryDirectory()
        self.broker = AmqpBroker(Path(self.directory.name) / "data")
        self.publisher = self.broker.connect()
        self.names = ["a", "b", "c", "d"]
        for name in self.names:
            self.publisher.declare(name, durable=durable)
        self.properties = PERSISTENT if durable else TRANSIENT
        self.prefetch = prefetch
        self.ready: dict[str, list[int]] = {name: [] for name in self.names}
        self.redelivered: set[int] = set()
        self.consumers: list[Consumer] = []
        self.serial = 0

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.patch.undo()
            for consumer in self.consumers[:]:
                self.lose(consumer)
            for name in self.names:
                self.publisher.method(1, commands.Basic.Consume(queue=name, no_ack=True))
                _, *deliveries = self.publisher.receive_all()
                assert [int(each.body) for each in deliveries] == self.ready[name]
            self.broker.stop()
            self.directory.cleanup()

    @rule(at=st.lists(st.integers(0, 3), min_size=1, max_size=8), repeat=st.sampled_from([1, 6]))
    def publish(self, at: list[int], repeat: int) -> None:
        frames = b""
        for index in at * repeat:
            name = self.names[index]
            frames += publish_frames(1, "", name, b"%d" % self.serial, self.properties)
            self.ready[name].append(self.serial)
            self.serial += 1
        self.publisher.send(frames)
        self.receive()

    @rule(at=st.sets(st.integers(0, 3), min_size=1))
    def connect(self, at: set[int]) -> None:
        taken = {name for consumer in self.consumers for name in consumer.queues}
        queues = [self.names[index] for index in sorted(at) if self.names[index] not in taken]
        peer = self.broker.connect()
        peer.call(commands.Basic.Qos(prefetch_count=self.prefetch))
        consumer = Consumer(peer, queues)
        self.consumers.append(consumer)
        for name in queues:
            peer.method(1, commands.Basic.Consume(queue=name, consumer_tag=name))
        self.receive()

    @rule(number=st.integers(0, 9), first=st.integers(0, 5), count=st.integers(1, 40),
          step=st.sampled_from([1, 1, 1, 2, -1]))  # fmt: skip
    def acknowledge(self, number: int, first: int, count: int, step: int) -> None:
        if (consumer := self.consumer(number)) is not None:
            tags = list(consumer.outstanding)[first % 3 :: step][:count]
            consumer.peer.send(acks(*tags))
            for tag in tags:
                del consumer.outstanding[tag]
            self.receive()

    @rule(number=st.integers(0, 9), position=st.integers(0, 99), how=st.sampled_from("mrd"))
    def settle(self, number: int, position: int, how: str) -> None:
        consumer = self.consumer(number)
        if consumer is None or not consumer.outstanding:
            return
        tags = list(consumer.outstanding)
        tag = tags[position % len(tags)]
        if how == "m":
            consumer.peer.method(1, commands.Basic.Ack(delivery_tag=tag, multiple=True))
            tags = [each for each in tags if each <= tag]
        else:
            consumer.peer.method(1, commands.Basic.Reject(delivery_tag=tag, requeue=how == "r"))
            tags = [tag]
        if how == "r":
            self.give_back([consumer.outstanding[tag]])
        for each in tags:
            del consumer.outstanding[each]
        self.receive()

    @rule(number=st.integers(0, 9))
    def disconnect(self, number: int) -> None:
        if (consumer := self.consumer(number)) is not None:
            self.lose(consumer)

    @rule()
    def look(self) -> None:
        for name in self.names:
            queue = self.broker.virtual_host.queues[name]
            assert queue.ready_count == len(self.ready[name])
            outstanding = [each for one in self.consumers for each, _ in one.outstanding.values()]
            assert queue.unsettled_count == outstanding.count(name)

    # The rest is no rule

    def consumer(self, number: int) -> Consumer | None:
        return self.consumers[number % len(self.consumers)] if self.consumers else None

    def give_back(self, deliveries: Iterable[tuple[str, int]]) -> None:
        for name, serial in deliveries:
            self.ready[name] = sorted([*self.ready[name], serial])
            self.redelivered.add(serial)

    def lose(self, consumer: Consumer) -> None:
        self.consumers.remove(consumer)
        consumer.peer.lose()
        self.give_back(consumer.outstanding.values())
        self.receive()

    def receive(self) -> None:
        for consumer in self.consumers:
            for each in consumer.peer.receive_all():
                if each.name == "Basic.Deliver":
                    name, serial = each.command.consumer_tag, int(each.body)
                    assert self.ready[name].pop(0) == serial
                    assert each.command.redelivered is (serial in self.redelivered)
                    consumer.outstanding[each.command.delivery_tag] = name, serial
            held = [name for name, _ in consumer.outstanding.values()]
            for name in consumer.queues:
                is_full = self.prefetch and held.count(name) == self.prefetch
                assert is_full or not self.ready[name], "somebody could have had it"
                assert not self.prefetch or held.count(name) <= self.prefetch


TestReceiving = ReceivingMachine.TestCase
TestReceiving.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
