import gc
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pamqp import commands

from protocols.amqp.config import AmqpConfig
from protocols.amqp.publishing import Entry, Publishing, Target
from protocols.amqp.resolving import Resolver
from tests.support.amqp_peer import (
    FRAME_MAX,
    NO_PROPERTIES,
    PERSISTENT,
    TRANSIENT,
    AmqpBroker,
    AmqpPeer,
    Received,
    method_frame,
    publish_frames,
)

Basic, Exchange, Queue = commands.Basic, commands.Exchange, commands.Queue


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("q")
    peer.declare("d", durable=True)
    return peer


def confirmed(received: list[Received]) -> list[tuple[int, bool]]:
    assert {each.name for each in received} <= {"Basic.Ack"}, received
    return [(each.command.delivery_tag, each.command.multiple) for each in received]


class TestRefusals:
    @pytest.mark.parametrize(
        ("exchange", "code", "text"),
        [
            ("none", 404, "NOT_FOUND - no exchange 'none' in vhost '/'"),
            (
                "amq.rabbitmq.trace",
                403,
                "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace'"
                " in vhost '/'",
            ),
            (b"\xff", 404, b"NOT_FOUND - no exchange '\xff' in vhost '/'"),
        ],
    )
    def test_close_the_channel(
        self, peer: AmqpPeer, exchange: str, code: int, text: str | bytes
    ) -> None:
        peer.call(commands.Confirm.Select())
        good = publish_frames(1, "", "q", b"1")
        peer.send(good + publish_frames(1, exchange, "q", b"2") + good)
        octets = peer.wire.value()
        expected = text if isinstance(text, bytes) else text.encode()
        assert code.to_bytes(2, "big") + bytes((len(expected),)) + expected in octets
        assert b"\x00\x3c\x00\x28\xce" in octets  # The method that failed: 60.40.
        assert peer.broker.virtual_host.queues["q"].ready_count == 1

    def test_immediate(self, peer: AmqpPeer) -> None:
        peer.send(publish_frames(1, "", "q", b"1", immediate=True))
        assert peer.failure() == ("Connection.Close", 540, "NOT_IMPLEMENTED - immediate=true")

    @pytest.mark.parametrize("size", [1001, 200_000])
    def test_too_large(self, broker: AmqpBroker, size: int) -> None:
        """Also if it would fit one frame."""
        small = AmqpBroker(broker.folder / "small", AmqpConfig(message_size_max=1000))
        peer = small.connect()
        peer.declare("q")
        text = f"PRECONDITION_FAILED - message size {size} is larger than configured max size 1000"
        peer.send(publish_frames(1, "", "q", bytes(1000)) + publish_frames(1, "", "q", bytes(size)))
        assert peer.failure() == ("Channel.Close", 406, text)
        assert small.virtual_host.queues["q"].ready_count == 1
        small.stop()

    def test_a_header_that_makes_no_sense(self, peer: AmqpPeer) -> None:
        """As far as it is looked at: the delivery mode decides where a message is kept."""
        peer.send(publish_frames(1, "", "q", b"1", b"\x10\x00"))
        kind, code, text = peer.failure()
        assert (kind, code) == ("Connection.Close", 501)
        assert text.startswith("FRAME_ERROR - cannot decode")


class TestReturns:
    @pytest.mark.parametrize("size", [0, 5, 300_000])
    @pytest.mark.parametrize("exchange", ["", "amq.topic", "amq.headers"])
    def test_come_as_they_were_sent(self, peer: AmqpPeer, size: int, exchange: str) -> None:
        body = b"x" * size
        peer.publish("none", body, PERSISTENT, exchange=exchange, mandatory=True)
        returned = peer.receive()
        command = returned.command
        assert (command.reply_code, command.reply_text) == (312, "NO_ROUTE")
        assert (command.exchange, command.routing_key) == (exchange, "none")
        assert (returned.properties, returned.body) == (PERSISTENT, body)

    def test_only_of_what_is_mandatory_and_nowhere_routed(self, peer: AmqpPeer) -> None:
        peer.publish("none", b"1")
        peer.publish("q", b"2", mandatory=True)
        assert peer.receive_all() == []

    def test_come_before_the_confirm(self, peer: AmqpPeer) -> None:
        peer.call(commands.Confirm.Select())
        octets = b"".join(
            publish_frames(1, "", key, b"", PERSISTENT, mandatory=True)
            for key in ("q", "none", "q", "none")
        )
        peer.send(octets)
        names = [received.name for received in peer.receive_all()]
        assert names == ["Basic.Return", "Basic.Return", "Basic.Ack"]

    def test_and_go_when_the_queue_comes(self, peer: AmqpPeer) -> None:
        """What was resolved is forgotten when the topology changes, from wherever."""
        other = peer.broker.connect()
        for _ in range(3):
            peer.publish("n", b"1", mandatory=True)
            assert peer.receive().name == "Basic.Return"
            other.declare("n")
            peer.publish("n", b"2", mandatory=True)
            peer.publish("n", b"3", mandatory=True)
            assert peer.receive_all() == []
            assert other.call(Queue.Delete(queue="n")).message_count == 2


class TestConfirms:
    @pytest.fixture
    def peer(self, peer: AmqpPeer) -> AmqpPeer:
        peer.call(commands.Confirm.Select())
        return peer

    def test_one(self, peer: AmqpPeer) -> None:
        peer.publish("q")
        assert confirmed(peer.receive_all()) == [(1, False)]
        peer.publish("none")
        assert confirmed(peer.receive_all()) == [(2, False)]

    def test_all_of_one_read_together(self, peer: AmqpPeer) -> None:
        peer.send(publish_frames(1, "", "q", b"1") * 5)
        assert confirmed(peer.receive_all()) == [(5, True)]

    def test_begin_with_the_first_publish_after_select(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        publish = publish_frames(1, "", "none", b"1")
        peer.send(publish * 3 + method_frame(1, commands.Confirm.Select()) + publish)
        assert [each.name for each in peer.receive_all()] == ["Confirm.SelectOk", "Basic.Ack"]
        peer.call(commands.Confirm.Select())
        peer.publish("none")
        assert confirmed(peer.receive_all()) == [(2, False)]

    def test_wait_for_the_disk(self, peer: AmqpPeer) -> None:
        peer.broker.disk.held = True
        peer.publish("d", b"1", PERSISTENT)
        peer.publish("d", b"2", PERSISTENT)
        assert peer.receive_all() == []
        peer.broker.disk.release()
        assert confirmed(peer.receive_all()) == [(1, False), (2, False)]

    def test_do_not_wait_for_what_is_not_durable(self, peer: AmqpPeer) -> None:
        peer.broker.disk.held = True
        for queue, properties in (("d", TRANSIENT), ("d", NO_PROPERTIES), ("q", PERSISTENT)):
            peer.publish(queue, b"", properties)
            assert len(peer.receive_all()) == 1
        peer.broker.disk.release()

    @pytest.mark.parametrize("together", [True, False])
    def test_never_overtake(self, peer: AmqpPeer, together: bool) -> None:
        """A transient message behind a durable one is confirmed after it."""
        peer.broker.disk.held = True
        frames = [
            publish_frames(1, "", "q", b""),
            publish_frames(1, "", "d", b"", PERSISTENT),
            publish_frames(1, "", "q", b""),
            publish_frames(1, "", "none", b""),
        ]
        for octets in [b"".join(frames)] if together else frames:
            peer.send(octets)
        before = confirmed(peer.receive_all())
        assert before == ([] if together else [(1, False)])
        peer.broker.disk.release()
        after = confirmed(peer.receive_all())
        assert after == ([(4, True)] if together else [(2, False), (3, False), (4, False)])

    def test_channels_do_not_wait_for_each_other(self, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        peer.call(commands.Confirm.Select(), 2)
        peer.broker.disk.held = True
        peer.send(publish_frames(1, "", "d", b"", PERSISTENT) + publish_frames(2, "", "q", b""))
        (ack,) = peer.receive_all()
        assert (ack.channel, ack.command.delivery_tag) == (2, 1)
        peer.broker.disk.release()
        (ack,) = peer.receive_all()
        assert (ack.channel, ack.command.delivery_tag) == (1, 1)

    def test_a_message_may_be_delivered_before(self, peer: AmqpPeer) -> None:
        other = peer.broker.connect()
        other.consume("d")
        peer.broker.disk.held = True
        peer.publish("d", b"1", PERSISTENT)
        assert other.bodies() == [b"1"]
        assert peer.receive_all() == []
        peer.broker.disk.release()
        assert confirmed(peer.receive_all()) == [(1, False)]

    def test_a_queue_that_goes_does_not_keep_them(self, peer: AmqpPeer) -> None:
        peer.broker.disk.held = True
        peer.publish("d", b"1", PERSISTENT)
        peer.broker.connect().method(1, Queue.Delete(queue="d"))
        peer.broker.disk.release()
        assert confirmed(peer.receive_all()) == [(1, False)]

    def test_what_is_confirmed_survives(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare("d", durable=True)
        peer.call(commands.Confirm.Select())
        peer.send(publish_frames(1, "", "d", b"x" * 200_000, PERSISTENT) * 3)
        assert confirmed(peer.receive_all())[-1][0] == 3
        broker.restart()
        assert [each.body for each in broker.connect().consume("d")] == [b"x" * 200_000] * 3


class TestHotPath:
    def runs(self, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many octets each run of the hot path took; filled while the test goes on."""
        taken: list[int] = []
        receive = Publishing.receive

        def counting(publishing: Publishing, data: bytes, position: int) -> int:
            end = receive(publishing, data, position)
            taken.append(end - position)
            return end

        monkeypatch.setattr(Publishing, "receive", counting)
        return taken

    def test_takes_what_it_should(self, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise all that follows compares the slow path with itself."""
        peer.open_channel(2)
        taken = self.runs(peer, monkeypatch)
        octets = b"".join(
            publish_frames(1 + number % 2, "", "qd"[number % 2], b"x" * (number % 3), PERSISTENT)
            for number in range(20)
        )
        peer.send(octets)
        assert taken == [len(octets)]

    def test_waits_for_all_of_a_message(
        self, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And does not look again before it is there."""
        octets = publish_frames(1, "", "q", b"x" * 1000)
        taken = self.runs(peer, monkeypatch)
        for start in range(0, len(octets), 10):
            peer.send(octets[start : start + 10])
        assert peer.get().body == b"x" * 1000
        assert len(taken) <= 6

    def test_what_it_remembers_is_bounded(self, peer: AmqpPeer) -> None:
        publishing = peer.connection._publishing
        for number in range(15_000):
            peer.publish("q", b"", b"\x00\x80\x05%05d" % number)
            peer.publish(str(number), b"")
        assert len(publishing._entries) <= 4096
        assert 10_000 < len(publishing._targets) < 12_000
        large = b"\x20\x00\x00\x00\x20\x07\x01aS" + (8192).to_bytes(4, "big") + bytes(8192)
        for number in range(100):
            peer.publish("q", b"", large[:-2] + b"%02d" % number)
        assert publishing._entries.size <= 2 << 20

    @pytest.mark.parametrize("size", [250, 900, 1100, 4000])
    def test_what_it_remembers_is_bounded_in_octets(self, peer: AmqpPeer, size: int) -> None:
        publishing = peer.connection._publishing
        raw = b"\x20\x00" + (size + 7).to_bytes(4, "big") + b"\x01aS" + size.to_bytes(4, "big")
        most = 0
        for number in range(4500):
            peer.publish("q", b"", raw + b"%0*d" % (size, number))
            most = max(most, len(publishing._entries))
        assert (most > 100) == (size < 1024)
        assert publishing._entries.size <= 2 << 20
        assert sum(map(len, peer.connection.language._headers)) <= 1 << 20
        assert peer.broker.virtual_host.queues["q"].ready_count == 4500

    @pytest.fixture
    def resolved(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """The basic.publish frames that the resolver was asked for; filled as the test goes on."""
        resolved: list[bytes] = []
        target = Resolver.target

        def counting(resolver: Resolver, method: bytes) -> Target | None:
            resolved.append(method)
            return target(resolver, method)

        monkeypatch.setattr(Resolver, "target", counting)
        return resolved

    def go_around(self, peer: AmqpPeer, count: int) -> None:
        """Publish to so many destinations, one after the other."""
        keys = map(str, range(count))
        peer.send(b"".join(publish_frames(1, "amq.fanout", key, b"x") for key in keys))

    def test_resolves_each_of_many_destinations_once(
        self, peer: AmqpPeer, resolved: list[bytes]
    ) -> None:
        peer.call(Queue.Bind(queue="q", exchange="amq.fanout"))
        for _ in range(2):
            self.go_around(peer, 5000)
            assert len(resolved) == 5000
        assert peer.broker.virtual_host.queues["q"].ready_count == 10_000

    def test_headers_that_never_come_again_do_not_displace_destinations(
        self, peer: AmqpPeer, resolved: list[bytes]
    ) -> None:
        peer.call(Queue.Bind(queue="q", exchange="amq.fanout"))
        self.go_around(peer, 1000)
        for number in range(10_000):
            peer.publish("q", b"", b"\x00\x80\x05%05d" % number)
        self.go_around(peer, 1000)
        assert len(resolved) == 1001

    def test_what_made_room_is_gone(self, peer: AmqpPeer) -> None:
        """It is not kept by others as that which came next."""
        peer.call(Queue.Bind(queue="q", exchange="amq.fanout"))

        def entry_count() -> int:
            gc.collect()
            return sum(type(each) is Entry for each in gc.get_objects())

        before = entry_count()
        for count in (5000, 8000, 20_000, 8000):
            self.go_around(peer, count)
        remembered = len(peer.connection._publishing._entries)
        assert remembered <= entry_count() - before <= 2 * remembered

    def test_a_message_cannot_begin_within_another(self, peer: AmqpPeer) -> None:
        """Nor does it help that the same one was just resolved."""
        whole = publish_frames(1, "", "q", b"ab")
        peer.send(whole + whole)
        parts = publish_frames(1, "", "q", b"ab", part_size=1)
        peer.send(parts[:-9] + whole)
        assert peer.failure()[1] == 505
        assert peer.broker.virtual_host.queues["q"].ready_count == 2

    @pytest.mark.parametrize("size", [17, 18, 19, 30, 45, 50])
    def test_nor_is_the_rest_of_it_waited_for(self, peer: AmqpPeer, size: int) -> None:
        """Its basic.publish, of 18 octets, is refused as soon as that is whole."""
        whole = publish_frames(1, "", "q", b"ab")
        peer.send(whole + whole)
        peer.send(whole[:18] + whole[:size])
        replies = [reply.failure[1] for reply in peer.receive_all()]
        assert replies == ([505] if size >= 18 else [])

    def test_of_another_channel_may(self, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        parts = publish_frames(1, "", "q", b"ab", part_size=1)
        peer.send(parts[:-9] + publish_frames(2, "", "q", b"cd") * 2 + parts[-9:])
        bodies = [peer.get().body for _ in range(3)]
        assert bodies == [b"cd", b"cd", b"ab"]

    @pytest.mark.parametrize("cut", [18, 40, 50])
    def test_a_pause_in_the_middle_stops_nobody_else(self, peer: AmqpPeer, cut: int) -> None:
        """One thread of a client has sent half a message; another one asks for something."""
        peer.open_channel(2)
        octets = publish_frames(1, "", "q", b"body")
        frame_ends = [18, 18 + 8 + 14, len(octets)]
        if cut not in frame_ends:
            return
        peer.send(octets[:cut])
        assert isinstance(peer.call(commands.Confirm.Select(), 2), commands.Confirm.SelectOk)
        peer.send(octets[cut:])
        assert peer.get().body == b"body"

    def test_knows_that_a_channel_was_closed(self, peer: AmqpPeer) -> None:
        publish = publish_frames(1, "", "q", b"1")
        peer.send(publish * 2)
        peer.send(method_frame(1, commands.Channel.Close(200, "", 0, 0)) + publish)
        assert peer.receive().name == "Channel.CloseOk"
        text = "CHANNEL_ERROR - expected 'channel.open'"
        assert peer.receive().failure == ("Connection.Close", 504, text)


@dataclass(frozen=True)
class Publish:
    channel: int
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    mandatory: bool
    part_size: int

    def encode(self) -> bytes:
        return publish_frames(
            self.channel, self.exchange, self.routing_key, self.body, self.properties,
            mandatory=self.mandatory, part_size=self.part_size,
        )  # fmt: skip

    @property
    def queues(self) -> str:
        """Where it goes."""
        if self.exchange == "":
            return self.routing_key if self.routing_key in ("a", "b", "g") else ""
        if self.exchange == "f":
            return "abg"
        if self.exchange == "t":
            return {"x.1": "a", "x.y.1": "a", "y": "b"}.get(self.routing_key, "")
        return "b" if HEADER_X in self.properties else ""

    @property
    def is_durable(self) -> bool:
        return (
            self.properties[:1] >= b"\x10"
            and PERSISTENT[-1:] == self.properties[-1:]
            and ("a" in self.queues or "g" in self.queues)
        )


HEADER_X = b"\x00\x00\x00\x04\x01xt\x01"
ROUTES = [
    ("", "a"), ("", "b"), ("", "g"), ("", "none"), ("f", "k"), ("t", "x.1"), ("t", "x.y.1"),
    ("t", "y"), ("t", "z"), ("h", "k"),
]  # fmt: skip
HEADS = [
    b"\x00\x00", b"\x10\x00\x01", b"\x10\x00\x02", b"\x30\x00" + HEADER_X + b"\x02",
    b"\x20\x00" + HEADER_X,
]  # fmt: skip


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    exchange, routing_key = draw(st.sampled_from(ROUTES))
    size = draw(st.sampled_from([0, 1, 5, 5, 300, 70_000]) | st.integers(0, 3000))
    properties = draw(
        st.sampled_from(HEADS)
        | st.binary(min_size=8, max_size=8).map(lambda id: b"\x00\x80\x08" + id)
    )
    return Publish(
        draw(st.integers(1, 3)),
        exchange,
        routing_key,
        properties,
        random.Random(draw(st.integers(0, 3))).randbytes(size),
        draw(st.booleans()),
        draw(st.sampled_from([FRAME_MAX, FRAME_MAX, max(1, size // 3), 1000])),
    )


OPERATIONS = st.lists(
    st.one_of(
        publishes(),
        publishes(),
        publishes().flatmap(lambda publish: st.lists(st.just(publish), min_size=2, max_size=5)),
        st.sampled_from(["get", "ack one", "ack oldest", "ack all", "nack", "heartbeat"]),
    ),
    max_size=25,
)


@dataclass
class Outcome:
    """What all of it came to, however it was cut."""

    consumed: dict[str, list[tuple[str, str, bytes, bytes]]] = field(default_factory=dict)
    got: list[tuple[bytes, bytes, bool, int]] = field(default_factory=list)
    returned: dict[int, list[tuple[str, str, bytes, bytes]]] = field(default_factory=dict)
    confirmed_count: dict[int, int] = field(default_factory=dict)
    left: list[bytes] = field(default_factory=list)


class Conversation:
    """A publisher with three channels, and a consumer that watches the queues a and b."""

    def __init__(self, broker: AmqpBroker, hot: bool) -> None:
        self.broker = broker
        self.consumer, self.publisher = broker.connect(), broker.connect()
        if not hot:
            connection = self.publisher.connection
            connection._receive_run = lambda data, position: position  # type: ignore[method-assign]
        declare = self.consumer.declare
        declare("a", durable=True)
        declare("b")
        declare("g", durable=True)
        call = self.consumer.call
        for name, type in (("f", "fanout"), ("t", "topic"), ("h", "headers")):
            call(Exchange.Declare(exchange=name, exchange_type=type))
        for queue in "abg":
            call(Queue.Bind(queue=queue, exchange="f"))
        call(Queue.Bind(queue="a", exchange="t", routing_key="x.#.1"))
        call(Queue.Bind(queue="b", exchange="t", routing_key="y"))
        call(Queue.Bind(queue="b", exchange="h", arguments={"x": True, "x-match": "all"}))
        self.consumer.consume("a", "a", no_ack=True)
        self.consumer.consume("b", "b", no_ack=True)
        self.publisher.open_channel(2)
        self.publisher.open_channel(3)
        for channel in (1, 2, 3):
            self.publisher.call(commands.Confirm.Select(), channel)

    def run(self, octets: list[bytes]) -> list[Received]:
        for part in octets:
            self.publisher.send(part)
        return self.publisher.receive_all()

    def finish(self, received: list[Received], outcome: Outcome) -> Outcome:
        for each in received:
            command, channel = each.command, each.channel
            if each.name == "Basic.Ack":
                assert command.delivery_tag > outcome.confirmed_count.get(channel, 0)
                outcome.confirmed_count[channel] = command.delivery_tag
            elif each.name == "Basic.Return":
                found = (command.exchange, command.routing_key, each.properties, each.body)
                outcome.returned.setdefault(channel, []).append(found)
            elif each.name == "Basic.GetEmpty":
                outcome.got.append((b"", b"", False, -1))
            else:
                assert each.name == "Basic.GetOk", each
                outcome.got.append(
                    (each.properties, each.body, command.redelivered, command.message_count)
                )
        for each in self.consumer.deliveries():
            command = each.command
            outcome.consumed.setdefault(command.consumer_tag, []).append(
                (command.exchange, command.routing_key, each.properties, each.body)
            )
        return outcome

    def close(self, outcome: Outcome) -> None:
        self.publisher.lose()
        while (answer := self.consumer.get("g", no_ack=True)).name == "Basic.GetOk":
            outcome.left.append(answer.body)
        for queue in "abg":
            self.consumer.method(1, Queue.Delete(queue=queue))
            assert self.consumer.receive_all()
        for exchange in "fth":
            self.consumer.call(Exchange.Delete(exchange=exchange))
        self.consumer.lose()


class Model:
    """What should happen: the queue g is the only one that is read by its publisher."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self.ready: list[tuple[int, Publish, bool]] = []
        self.outstanding: dict[int, tuple[int, Publish]] = {}
        self.last_tag = 0
        self.last_offset = 0
        self.frames: list[bytes] = []

    def publish(self, publish: Publish) -> None:
        outcome, channel = self.outcome, publish.channel
        seen = (publish.exchange, publish.routing_key, publish.properties, publish.body)
        for queue in publish.queues:
            if queue == "g":
                self.last_offset += 1
                self.ready.append((self.last_offset, publish, False))
            else:
                outcome.consumed.setdefault(queue, []).append(seen)
        if not publish.queues and publish.mandatory:
            outcome.returned.setdefault(channel, []).append(seen)
        outcome.confirmed_count[channel] = outcome.confirmed_count.get(channel, 0) + 1
        self.frames.append(publish.encode())

    def do(self, operation: str, choose: random.Random) -> None:
        if operation == "heartbeat":
            self.frames.append(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        elif operation == "get":
            self.frames.append(method_frame(3, Basic.Get(queue="g")))
            if not self.ready:
                self.outcome.got.append((b"", b"", False, -1))
                return
            offset, publish, redelivered = self.ready.pop(0)
            self.last_tag += 1
            self.outstanding[self.last_tag] = (offset, publish)
            self.outcome.got.append(
                (publish.properties, publish.body, redelivered, len(self.ready))
            )
        elif self.outstanding:
            tags = list(self.outstanding)
            tag = tags[0] if operation == "ack oldest" else choose.choice(tags)
            if operation == "ack all":
                self.frames.append(method_frame(3, Basic.Ack(tag, True)))
                tags = [each for each in tags if each <= tag]
            elif operation == "nack":
                self.frames.append(method_frame(3, Basic.Nack(tag)))
                tags = [tag]
                self.ready.append((*self.outstanding[tag], True))
                self.ready.sort(key=lambda each: each[0])
            else:
                self.frames.append(method_frame(3, Basic.Ack(tag)))
                tags = [tag]
            for each in tags:
                del self.outstanding[each]

    def close(self) -> Outcome:
        self.ready += [(*each, True) for each in self.outstanding.values()]
        self.outcome.left = [each[1].body for each in sorted(self.ready, key=lambda each: each[0])]
        return self.outcome


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[AmqpBroker]]:
    brokers = [AmqpBroker(tmp_path_factory.mktemp(name)) for name in ("hot", "slow")]
    yield brokers
    for broker in brokers:
        broker.stop()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    operations=OPERATIONS,
    chunk_sizes=st.just([1]) | st.lists(st.integers(1, 200_000), min_size=1, max_size=5),
    held=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_hot_path_is_the_slow_one(
    brokers: list[AmqpBroker],
    operations: list[Publish | list[Publish] | str],
    chunk_sizes: list[int],
    held: bool,
    seed: int,
) -> None:
    """Whatever is sent, and however it is cut: both do what the model does."""
    model, choose = Model(), random.Random(seed)
    durable_channels = set()
    for operation in operations:
        if isinstance(operation, str):
            model.do(operation, choose)
            continue
        for publish in operation if isinstance(operation, list) else [operation]:
            model.publish(publish)
            if publish.is_durable:
                durable_channels.add(publish.channel)
    octets = b"".join(model.frames)
    assume(chunk_sizes != [1] or len(octets) < 20_000)
    chunks, start = [], 0
    while start < len(octets):
        size = chunk_sizes[len(chunks) % len(chunk_sizes)]
        chunks.append(octets[start : start + size])
        start += size
    expected = model.close()
    for broker, parts in zip(brokers, (chunks, model.frames), strict=True):
        conversation = Conversation(broker, hot=parts is chunks)
        broker.disk.held = held
        outcome = Outcome()
        received = conversation.run(parts)
        if held:
            for each in received:
                assert each.name != "Basic.Ack" or not _covers_durable(each, operations)
        broker.disk.release()
        received += conversation.publisher.receive_all()
        conversation.finish(received, outcome)
        conversation.close(outcome)
        assert outcome == expected


def _covers_durable(ack: Received, operations: list[Publish | list[Publish] | str]) -> bool:
    """Does this confirm, which came while the disk was held, say too much?"""
    count = 0
    for operation in operations:
        if isinstance(operation, str):
            continue
        for publish in operation if isinstance(operation, list) else [operation]:
            if publish.channel == ack.channel:
                count += 1
                if publish.is_durable:
                    return bool(ack.command.delivery_tag >= count)
    return False
