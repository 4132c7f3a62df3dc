from typing import Any

import pytest
from pamqp import commands

from gateway.messages import Envelope, Header, Properties
from protocols.amqp.codec import decode_properties
from tests.support.amqp_peer import (
    FRAME_MAX,
    PERSISTENT,
    TRANSIENT,
    AmqpBroker,
    AmqpPeer,
    Received,
    publish_frames,
    split,
)

Basic, Queue = commands.Basic, commands.Queue
SIZES = [0, 1, 100, 4088, 4089, 8176, 8177, FRAME_MAX - 8, FRAME_MAX - 7, 300_000]


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("q")
    return peer


class OtherLanguage:
    """A message of another front end, with properties of all kinds."""

    number = 77
    name = "other"

    def __init__(self, properties: Properties) -> None:
        self.properties = properties
        self.decoded_count = 0

    def parse_stored(self, stored: bytes) -> Any:
        raise NotImplementedError

    def decode_properties(self, raw: bytes) -> Properties:
        self.decoded_count += 1
        return self.properties


def publish_other(broker: AmqpBroker, header: Header, *bodies: bytes) -> None:
    host = broker.virtual_host
    route = host.route("", "q", header)
    host.intake.publish([(route, (Envelope("", "q"), header, body), body) for body in bodies])
    broker.gateway.turn.end()


class TestDeliveries:
    def test_say_everything(self, peer: AmqpPeer) -> None:
        peer.call(Queue.Bind(queue="q", exchange="amq.topic", routing_key="#"))
        peer.consume(tag="tag")
        peer.publish("a.b", b"body", TRANSIENT, exchange="amq.topic")
        (delivery,) = peer.deliveries()
        command = delivery.command
        assert (command.consumer_tag, command.delivery_tag) == ("tag", 1)
        assert (command.exchange, command.routing_key) == ("amq.topic", "a.b")
        assert not command.redelivered
        assert (delivery.properties, delivery.body) == (TRANSIENT, b"body")

    @pytest.mark.parametrize("frame_max", [4096, 8192, FRAME_MAX])
    @pytest.mark.parametrize("durable", [True, False])
    def test_of_all_sizes(self, broker: AmqpBroker, frame_max: int, durable: bool) -> None:
        """In frames that the consumer takes, whatever the publisher's were."""
        publisher, peer = broker.connect(), broker.peer()
        peer.open(frame_max=frame_max)
        peer.open_channel(1)
        peer.declare("q", durable=durable)
        bodies = [bytes((index,)) * size for index, size in enumerate(SIZES * 2)]
        for body in bodies:
            publisher.publish("q", body, PERSISTENT)
        peer.method(1, Basic.Consume(queue="q", consumer_tag="t"))
        octets = peer.wire.value()
        assert max(len(payload) + 8 for _, _, payload in split(octets)) <= frame_max
        consume_ok, *deliveries = peer.receive_all()
        assert consume_ok.name == "Basic.ConsumeOk"
        assert [delivery.body for delivery in deliveries] == bodies
        # Again, as they are when they are redelivered, and one by one.
        peer.method(1, Basic.Nack(delivery_tag=0, multiple=True))
        redelivered = peer.deliveries()
        assert [delivery.body for delivery in redelivered] == bodies
        assert all(delivery.command.redelivered for delivery in redelivered)
        peer.call(Basic.Cancel(consumer_tag="t"))
        peer.method(1, Basic.Nack(delivery_tag=0, multiple=True))
        for body in bodies:
            answer = peer.get()
            assert (answer.body, answer.properties) == (body, PERSISTENT)

    def test_after_a_restart(self, broker: AmqpBroker) -> None:
        """They are read from the disk, and marked redelivered if they were delivered before."""
        peer = broker.connect()
        peer.declare("q", durable=True)
        bodies = [bytes((index,)) * size for index, size in enumerate(SIZES)]
        for body in bodies:
            peer.publish("q", body, PERSISTENT)
        peer.call(Basic.Qos(prefetch_count=3))
        assert len(peer.consume()) == 3
        broker.restart()
        deliveries = broker.connect().consume()
        assert [delivery.body for delivery in deliveries] == bodies
        assert {delivery.properties for delivery in deliveries} == {PERSISTENT}
        flags = [delivery.command.redelivered for delivery in deliveries]
        assert flags == [True] * 3 + [False] * (len(bodies) - 3)

    def test_properties_are_not_touched(self, peer: AmqpPeer) -> None:
        """Not even those that make no sense: a publisher's octets are a consumer's."""
        all_kinds = [
            b"\x00\x00",
            b"\x00\x02",
            b"\x00\x40\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x20\x00\x00\x00\x00\x0b\x01aI\x00\x00\x00\x05\x01bB\xff",
            b"\x20\x00\x00\x00\x00\x03\x01?Z",
            b"\x00\x80\x02\xff\xfe",
            b"\x80\x00\x05abc",
        ]
        for raw in all_kinds * 2:
            peer.publish("q", b"x", raw)
        assert [delivery.properties for delivery in peer.consume()] == all_kinds * 2

    def test_names_are_not_touched(self, peer: AmqpPeer) -> None:
        """Neither need be UTF-8."""
        peer.call(Queue.Bind(queue="q", exchange="amq.fanout"))
        peer.consume()
        for key in (b"\xff\xfe", b"", b"x" * 255, "€".encode() * 85):
            peer.send(publish_frames(1, "amq.fanout", key, b""))
            octets = peer.wire.value()
            peer.wire.clear()
            assert b"\x0aamq.fanout" + bytes((len(key),)) + key in octets

    def test_consume_ok_comes_first_and_cancel_ok_last(self, peer: AmqpPeer) -> None:
        peer.publish("q", b"1")
        peer.publish("q", b"2")
        peer.method(1, Basic.Consume(queue="q", consumer_tag="t"))
        peer.publish("q", b"3")
        peer.method(1, Basic.Cancel(consumer_tag="t"))
        peer.publish("q", b"4")
        names = [received.name for received in peer.receive_all()]
        assert names == ["Basic.ConsumeOk", *["Basic.Deliver"] * 3, "Basic.CancelOk"]

    def test_channels_have_tags_of_their_own(self, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        peer.consume(tag="a")
        peer.consume(tag="b", channel=2)
        for number in range(6):
            peer.publish("q", b"%d" % number)
        found = {(each.channel, each.command.delivery_tag) for each in peer.deliveries()}
        assert found == {(channel, tag) for channel in (1, 2) for tag in (1, 2, 3)}

    def test_alternating_kinds(self, peer: AmqpPeer) -> None:
        """What was prepared for one message is not used for another."""
        peer.call(Queue.Bind(queue="q", exchange="amq.topic", routing_key="#"))
        peer.consume()
        sent: list[tuple[str, bytes, bytes]] = []
        octets = b""
        for number in range(60):
            key = ("q", "k.1", "k.2")[number % 3]
            raw = (PERSISTENT, TRANSIENT)[number % 2]
            body = b"x" * (number % 5 % 3)
            sent.append((key, raw, body))
            octets += publish_frames(1, "amq.topic", key, body, raw)
        peer.send(octets)
        found = [
            (delivery.command.routing_key, delivery.properties, delivery.body)
            for delivery in peer.deliveries()
        ]
        assert found == sent


class TestRoundRobin:
    """One read for many queues: what comes alone to a queue goes straight to its consumer."""

    NAMES = ("a", "b", "c")

    def prepare(self, peer: AmqpPeer, **options: Any) -> None:
        for name in self.NAMES:
            peer.declare(name, durable=True)
            peer.consume(name, name, **options)

    def publish(self, peer: AmqpPeer, rounds: int, raw: bytes = PERSISTENT) -> None:
        octets = b""
        for number in range(rounds):
            for name in self.NAMES:
                octets += publish_frames(1, "", name, b"%s %d" % (name.encode(), number), raw)
        peer.send(octets)

    @pytest.mark.parametrize("raw", [PERSISTENT, TRANSIENT])
    @pytest.mark.parametrize("no_ack", [True, False])
    def test_each_gets_its_own_in_order(
        self, broker: AmqpBroker, peer: AmqpPeer, raw: bytes, no_ack: bool
    ) -> None:
        self.prepare(peer, no_ack=no_ack)
        for _ in range(2):  # The second time, everything is prepared.
            self.publish(peer, 4, raw)
            deliveries = peer.deliveries()
            for name in self.NAMES:
                bodies = [each.body for each in deliveries if each.command.consumer_tag == name]
                assert bodies == [b"%s %d" % (name.encode(), number) for number in range(4)]
            tags = [each.command.delivery_tag for each in deliveries]
            assert tags == list(range(tags[0], tags[0] + 12))
            if not no_ack:
                peer.ack(0, multiple=True)
        for name in self.NAMES:
            queue = broker.virtual_host.queues[name]
            assert (queue.ready_count, queue.unsettled_count) == (0, 0)

    def test_only_as_far_as_there_is_credit(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.call(Basic.Qos(prefetch_count=2))
        self.prepare(peer)
        self.publish(peer, 3)
        deliveries = peer.deliveries()
        assert {each.body for each in deliveries} == {
            b"a 0",
            b"b 0",
            b"c 0",
            b"a 1",
            b"b 1",
            b"c 1",
        }
        self.publish(peer, 1)
        assert not peer.deliveries()
        for each in deliveries:
            peer.ack(each.command.delivery_tag)
        assert sorted(peer.bodies()) == [b"a 0", b"a 2", b"b 0", b"b 2", b"c 0", b"c 2"]

    def test_a_shared_limit_holds(self, peer: AmqpPeer) -> None:
        self.prepare(peer)
        peer.call(Basic.Qos(prefetch_count=4, global_=True))
        self.publish(peer, 3)
        assert len(peer.bodies()) == 4

    def test_nothing_goes_past_a_pause(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        self.prepare(peer)
        tools = broker.virtual_host.queue_tools
        queue = broker.virtual_host.queues["a"]
        tools.pause(queue)
        self.publish(peer, 2)
        assert sorted(peer.bodies()) == [b"b 0", b"b 1", b"c 0", b"c 1"]
        tools.resume(queue)
        broker.gateway.turn.end()
        assert peer.bodies() == [b"a 0", b"a 1"]
        self.publish(peer, 1)
        assert peer.bodies() == [b"a 0", b"b 0", b"c 0"]

    def test_a_second_consumer_gets_its_share(self, peer: AmqpPeer) -> None:
        self.prepare(peer)
        self.publish(peer, 1)
        peer.deliveries()
        peer.consume("a", "other")
        self.publish(peer, 2)
        tags = [each.command.consumer_tag for each in peer.deliveries()]
        assert sorted(tags) == ["a", "b", "b", "c", "c", "other"]
        peer.call(Basic.Cancel(consumer_tag="other"))
        self.publish(peer, 1)
        assert [each.command.consumer_tag for each in peer.deliveries()] == ["a", "b", "c"]

    def test_what_was_not_acknowledged_comes_again(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        self.prepare(peer)
        self.publish(peer, 2)
        assert len(peer.bodies()) == 6
        peer.method(1, Basic.Nack(delivery_tag=0, multiple=True, requeue=True))
        again = peer.deliveries()
        assert sorted(each.body for each in again) == [
            b"%s %d" % (name.encode(), number) for name in self.NAMES for number in range(2)
        ]
        assert all(each.command.redelivered for each in again)
        self.publish(peer, 1)
        assert not any(each.command.redelivered for each in peer.deliveries())
        broker.restart()
        deliveries = broker.connect().consume("a")
        assert [(each.body, each.command.redelivered) for each in deliveries] == [
            (b"a 0", True), (b"a 1", True), (b"a 0", True)
        ]  # fmt: skip


class TestOtherLanguages:
    def test_are_translated_once(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        properties = Properties(
            content_type="text/plain",
            headers={"n": 5, "s": "ä", "b": b"\xff", "f": 0.1, "l": [1, {"d": None}]},
            persistent=True,
            priority=3,
            correlation_id="c",
            timestamp=1_700_000_000,
            message_id="m",
        )
        language = OtherLanguage(properties)
        publish_other(broker, Header(language, b"", False), b"1", b"", b"3")
        deliveries = peer.consume()
        assert [delivery.body for delivery in deliveries] == [b"1", b"", b"3"]
        assert language.decoded_count == 1
        for delivery in deliveries:
            assert decode_properties(delivery.properties) == {
                "content_type": "text/plain",
                "headers": properties.headers,
                "delivery_mode": 2,
                "priority": 3,
                "correlation_id": "c",
                "timestamp": 1_700_000_000,
                "message_id": "m",
            }

    def test_with_what_amqp_cannot_say(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        """It is delivered all the same: one odd message must not stop a queue."""
        properties = Properties(
            content_type="x" * 300,
            headers={"k" * 300: 1 << 70, "\udcff": "\ud800"},
            priority=-5,
            timestamp=-1,
            type="€" * 100,
        )
        publish_other(broker, Header(OtherLanguage(properties), b"", False), b"1")
        peer.publish("q", b"2")
        first, second = peer.consume()
        assert (first.body, second.body) == (b"1", b"2")
        decoded = decode_properties(first.properties)
        assert decoded["content_type"] == "x" * 255
        assert decoded["type"] == "€" * 85
        assert decoded["priority"] == 0
        assert "timestamp" not in decoded


class TestPausing:
    """A peer that does not read gets nothing more, and nothing is lost."""

    def fill(self, broker: AmqpBroker, count: int, size: int) -> None:
        publisher = broker.connect()
        for _ in range(count):
            publisher.publish("q", bytes(size))

    @pytest.mark.parametrize("no_ack", [True, False])
    @pytest.mark.parametrize("size", [10, 10_000, 300_000])
    def test_memory_is_bounded(
        self, broker: AmqpBroker, peer: AmqpPeer, no_ack: bool, size: int
    ) -> None:
        count = 15_000_000 // (size + 1000)
        self.fill(broker, count, size)
        peer.wire.stalled = True
        peer.method(1, Basic.Consume(queue="q", consumer_tag="t", no_ack=no_ack))
        queue = broker.virtual_host.queues["q"]
        waiting = len(peer.wire.value())
        assert waiting < (2 << 20) + 2 * size
        assert queue.ready_count > 0
        assert peer.connection.output == []
        # Nor does more come while it does not read.
        self.fill(broker, 100, size)
        assert len(peer.wire.value()) == waiting
        # It reads bit by bit: all comes, in order, and never much at once.
        received: list[Received] = []
        while more := peer.receive_all():
            assert len(peer.wire.value()) < (2 << 20) + 2 * size
            received += more
        deliveries = received[1:]
        assert len(deliveries) == count + 100
        tags = [delivery.command.delivery_tag for delivery in deliveries]
        assert tags == list(range(1, len(deliveries) + 1))
        assert queue.ready_count == 0

    def test_others_are_served_meanwhile(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        other = broker.connect()
        peer.consume()
        peer.wire.stalled = True
        self.fill(broker, 5, 200_000)
        other.consume()
        publisher = broker.connect()
        for number in range(10):
            publisher.publish("q", b"%d" % number)
        assert [int(body) for body in other.bodies()] == list(range(10))

    def test_what_it_publishes_waits(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        """Its answers and confirms are bounded, too: it is not read from."""
        peer.consume()
        peer.wire.stalled = True
        self.fill(broker, 2, 300_000)
        assert peer.wire.producerState == "paused"
        while peer.receive_all():
            pass
        assert peer.wire.producerState == "producing"

    def test_it_may_go_while_it_waits(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.consume()
        peer.wire.stalled = True
        self.fill(broker, 10, 100_000)
        peer.lose()
        queue = broker.virtual_host.queues["q"]
        assert (queue.ready_count, queue.unsettled_count, queue.consumer_count) == (10, 0, 0)
        assert len(broker.connect().consume()) == 10

    def test_its_queue_may_go_while_it_waits(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        other = broker.connect()
        peer.consume()
        peer.wire.stalled = True
        self.fill(broker, 10, 100_000)
        other.call(Queue.Delete(queue="q"))
        names = {received.name for received in peer.receive_all()}
        names |= {received.name for received in peer.receive_all()}
        assert names == {"Basic.Deliver", "Basic.Cancel"}
