import pytest
from pamqp import commands

from protocols.amqp.codec import BODY, HEADER, HEARTBEAT_FRAME, encode_frame, encode_method
from protocols.amqp.config import AmqpConfig
from protocols.amqp.connection import AmqpConnection
from tests.support.amqp_peer import (
    FRAME_MAX,
    NO_PROPERTIES,
    PERSISTENT,
    AmqpBroker,
    AmqpPeer,
    Received,
    method_frame,
    publish_frames,
)

CLOSE = method_frame(0, commands.Connection.Close(200, "bye", 0, 0))
CLOSE_OK = method_frame(0, commands.Connection.CloseOk())
PUBLISH_METHOD = publish_frames(1, "", "q", b"")[:18]
CONTENT_OF_ONE = b"\x00\x3c\x00\x00" + (1).to_bytes(8, "big") + NO_PROPERTIES


def closed_by(peer: AmqpPeer, octets: bytes) -> tuple[str, int, str]:
    peer.send(octets)
    (close,) = peer.receive_all()
    return close.failure


class TestFrameErrors:
    @pytest.mark.parametrize(
        ("octets", "code", "text"),
        [
            (
                b"\x01\x00\x01\x00\x02\x00\x01",
                501,
                "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,131073,131064}",
            ),
            (
                b"\x03\x00\x01\xff\xff\xff\xff",
                501,
                "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4294967295,131064}",
            ),
            (
                b"\x01\x00\x01\x00\x00\x00\x02ab\xcd",
                501,
                'FRAME_ERROR - type 1, all octets = <<"ab">>: {invalid_frame_end_marker,205}',
            ),
            (
                b"\x03\x00\x01\x00\x00\x00\x11" + bytes(17) + b"\x00",
                501,
                "FRAME_ERROR - type 3, first 16 octets ="
                " <<0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0>>: {invalid_frame_end_marker,0}",
            ),
            (
                b"\x04\x00\x01\x00\x00\x00\x01a\xce",
                501,
                'FRAME_ERROR - type 4, all octets = <<"a">>: unknown_frame',
            ),
            (
                b"\x08\x00\x01\x00\x00\x00\x00\xce",
                505,
                "UNEXPECTED_FRAME - type 8, all octets = <<>>",
            ),
            (
                encode_frame(HEADER, 0, b"a"),
                501,
                'FRAME_ERROR - type 2, all octets = <<"a">>: unknown_frame',
            ),
            (
                encode_frame(HEADER, 0, b"abcdefghijkl"),
                505,
                'UNEXPECTED_FRAME - type 2, all octets = <<"abcdefghijkl">>',
            ),
            (encode_frame(BODY, 0, b""), 505, "UNEXPECTED_FRAME - type 3, all octets = <<>>"),
            (
                encode_frame(BODY, 1, b"a"),
                505,
                "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
            ),
            (
                PUBLISH_METHOD + method_frame(1, commands.Basic.Qos()),
                505,
                "UNEXPECTED_FRAME - expected content header for class 60,"
                " got non content header frame instead",
            ),
            (
                PUBLISH_METHOD + PUBLISH_METHOD,
                505,
                "UNEXPECTED_FRAME - expected content header for class 60,"
                " got non content header frame instead",
            ),
            (
                PUBLISH_METHOD + encode_frame(BODY, 1, b"a"),
                505,
                "UNEXPECTED_FRAME - expected content header for class 60,"
                " got non content header frame instead",
            ),
            (
                PUBLISH_METHOD + encode_frame(HEADER, 1, b"\x00\x32" + CONTENT_OF_ONE[2:]),
                505,
                "UNEXPECTED_FRAME - expected content header for class 60,"
                " got one for class 50 instead",
            ),
            (
                PUBLISH_METHOD
                + encode_frame(HEADER, 1, CONTENT_OF_ONE)
                + encode_frame(HEADER, 1, CONTENT_OF_ONE),
                505,
                "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            ),
            (
                PUBLISH_METHOD
                + encode_frame(HEADER, 1, CONTENT_OF_ONE)
                + publish_frames(1, "", "q", b""),
                505,
                "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
            ),
            (
                PUBLISH_METHOD
                + encode_frame(HEADER, 1, CONTENT_OF_ONE)
                + encode_frame(BODY, 1, b"ab"),
                501,
                "FRAME_ERROR - the body is longer than its header says",
            ),
            (
                PUBLISH_METHOD + encode_frame(HEADER, 1, CONTENT_OF_ONE[:13]),
                501,
                "FRAME_ERROR - cannot decode content header",
            ),
            (
                encode_method(1, 50, 10, b"a"),
                501,
                "FRAME_ERROR - cannot decode <<97>>",
            ),
            (
                encode_frame(1, 1, b"\0\x32"),
                501,
                "FRAME_ERROR - type 1, all octets = <<0,50>>: unknown_frame",
            ),
            (
                PUBLISH_METHOD + encode_frame(HEADER, 1, CONTENT_OF_ONE[:11]),
                501,
                "FRAME_ERROR - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0>>: unknown_frame",
            ),
            (
                PUBLISH_METHOD + encode_frame(HEADER, 1, b"\0\x3c\0\1" + CONTENT_OF_ONE[4:]),
                505,
                "UNEXPECTED_FRAME - expected content header for class 60,"
                " got non content header frame instead",
            ),
            (
                encode_method(1, 60, 40, b"\0\0\x01"),
                501,
                "FRAME_ERROR - cannot decode <<0,0,1>>",
            ),
            (
                method_frame(1, commands.Queue.Declare()).replace(b"\0\0\0\0\xce", b"\0\0\0\1\xce"),
                501,
                "FRAME_ERROR - cannot decode <<0,0,0,0,0,0,0,1>>",
            ),
            (encode_method(1, 50, 99), 503, "COMMAND_INVALID - unimplemented method"),
            (encode_method(1, 99, 10), 503, "COMMAND_INVALID - unimplemented method"),
            (
                method_frame(1, commands.Basic.Deliver("t", 1, False, "", "q")),
                503,
                "COMMAND_INVALID - unimplemented method",
            ),
            (
                method_frame(1, commands.Queue.DeclareOk("q", 0, 0)),
                503,
                "COMMAND_INVALID - unimplemented method",
            ),
            (
                method_frame(0, commands.Queue.Declare(queue="q")),
                504,
                "CHANNEL_ERROR - unexpected method in connection state running",
            ),
            (
                method_frame(0, commands.Connection.TuneOk()),
                504,
                "CHANNEL_ERROR - unexpected method in connection state running",
            ),
            (
                method_frame(2, commands.Queue.Declare(queue="q")),
                504,
                "CHANNEL_ERROR - expected 'channel.open'",
            ),
            (encode_frame(BODY, 2, b"a"), 504, "CHANNEL_ERROR - expected 'channel.open'"),
            (
                publish_frames(2, "", "q", b"")[:18],
                504,
                "CHANNEL_ERROR - expected 'channel.open'",
            ),
            (
                method_frame(1, commands.Channel.Open()),
                504,
                "CHANNEL_ERROR - second 'channel.open' seen",
            ),
        ],
    )
    @pytest.mark.parametrize("chunk_size", [1, 1000])
    def test_close_the_connection(
        self, broker: AmqpBroker, octets: bytes, code: int, text: str, chunk_size: int
    ) -> None:
        """With the same words however the octets arrive."""
        peer = broker.connect()
        for start in range(0, len(octets), chunk_size):
            peer.send(octets[start : start + chunk_size])
        (close,) = peer.receive_all()
        assert close.failure == ("Connection.Close", code, text)
        # What comes now does not matter, until the answer.
        peer.send(
            publish_frames(1, "", "q", b"") + method_frame(1, commands.Queue.Declare(queue="q"))
        )
        assert peer.receive_all() == []
        assert not peer.hung_up
        assert not broker.virtual_host.queues

    def test_the_method_that_failed_is_named(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.send(encode_method(1, 50, 10, b"a"))
        close = peer.receive().command
        assert (close.class_id, close.method_id) == (50, 10)

    def test_a_frame_may_be_a_little_larger(self, broker: AmqpBroker) -> None:
        """RabbitMQ, too, takes a payload of frame_max octets."""
        peer = broker.connect()
        peer.declare()
        peer.publish("q", bytes(FRAME_MAX))
        peer.send(publish_frames(1, "", "q", bytes(FRAME_MAX), part_size=FRAME_MAX))
        assert peer.receive_all() == []
        assert broker.virtual_host.queues["q"].ready_count == 2

    def test_the_answer_hangs_up(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        closed_by(peer, b"\x04\x00\x01\x00\x00\x00\x01a\xce")
        peer.send(CLOSE_OK)
        assert peer.hung_up

    def test_framing_is_lost_for_three_seconds(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        closed_by(peer, b"\x01\x00\x01\xff\xff\xff\xff")
        for _ in range(10):
            peer.send(b"\xff" * 100_000)
        assert peer.receive_all() == []
        broker.clock.advance(2.9)
        assert not peer.hung_up
        broker.clock.advance(0.2)
        assert peer.hung_up

    @pytest.mark.parametrize(("heartbeat", "seconds"), [(0, 30), (60, 30), (4, 4)])
    def test_others_are_answered_in_time(
        self, broker: AmqpBroker, heartbeat: int, seconds: int
    ) -> None:
        peer = broker.connect(heartbeat=heartbeat)
        closed_by(peer, encode_method(1, 99, 10))
        broker.clock.advance(seconds - 0.5)
        assert not peer.hung_up
        broker.clock.advance(1)
        assert peer.hung_up


class TestClosing:
    def test_by_the_client(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.send(CLOSE)
        assert [received.name for received in peer.receive_all()] == ["Connection.CloseOk"]
        assert peer.hung_up

    def test_what_follows_is_ignored(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.send(CLOSE + method_frame(1, commands.Queue.Declare(queue="q")) + b"junk")
        peer.send(method_frame(1, commands.Queue.Declare(queue="q")))
        assert [received.name for received in peer.receive_all()] == ["Connection.CloseOk"]
        assert not broker.virtual_host.queues

    def test_what_came_before_is_done(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.send(
            method_frame(1, commands.Queue.Declare(queue="q", durable=True))
            + publish_frames(1, "", "q", b"1")
            + CLOSE
        )
        names = [received.name for received in peer.receive_all()]
        assert names == ["Queue.DeclareOk", "Connection.CloseOk"]
        assert broker.virtual_host.queues["q"].ready_count == 1

    def test_waits_for_what_was_declared_before(self, broker: AmqpBroker) -> None:
        """Hanging up must not overtake the answers."""
        peer = broker.connect()
        broker.disk.held = True
        peer.send(method_frame(1, commands.Queue.Declare(queue="q", durable=True)) + CLOSE)
        assert peer.receive_all() == []
        assert not peer.hung_up
        broker.disk.release()
        names = [received.name for received in peer.receive_all()]
        assert names == ["Queue.DeclareOk", "Connection.CloseOk"]
        assert peer.hung_up

    def test_does_not_wait_for_ever(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        broker.disk.held = True
        peer.send(method_frame(1, commands.Queue.Declare(queue="q", durable=True)) + CLOSE)
        broker.clock.advance(31)
        assert peer.hung_up
        broker.disk.release()

    def test_by_both_at_once(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        closed_by(peer, encode_method(1, 99, 10))
        peer.send(CLOSE)
        assert [received.name for received in peer.receive_all()] == ["Connection.CloseOk"]
        assert peer.hung_up

    def test_exclusive_queues_are_gone_before_the_answer(self, broker: AmqpBroker) -> None:
        peer, other = broker.connect(), broker.connect()
        peer.declare("mine", exclusive=True)
        peer.send(CLOSE)
        assert peer.receive().name == "Connection.CloseOk"
        assert other.declare("mine").message_count == 0

    @pytest.mark.parametrize("breaks", [True, False])
    def test_what_was_in_flight_is_ready_again(self, broker: AmqpBroker, breaks: bool) -> None:
        peer, other = broker.connect(), broker.connect()
        peer.declare()
        peer.publish("q", b"1")
        peer.publish("q", b"2")
        assert [delivery.body for delivery in peer.consume()] == [b"1", b"2"]
        other_deliveries = other.consume()
        assert other_deliveries == []
        peer.ack(1)
        if breaks:
            peer.lose()
        else:
            peer.send(CLOSE)
        (delivery,) = other.deliveries()
        assert (delivery.body, delivery.command.redelivered) == (b"2", True)

    def test_by_a_broker_that_stops(self, broker: AmqpBroker) -> None:
        peer, early = broker.connect(), broker.peer()
        peer.declare("mine", exclusive=True)
        broker.front_end.stop()
        text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
        assert peer.receive().failure == ("Connection.Close", 320, text)
        assert early.hung_up
        assert not broker.virtual_host.queues
        peer.send(CLOSE_OK)
        assert peer.hung_up

    def test_connections_that_are_gone_are_forgotten(self, broker: AmqpBroker) -> None:
        peer, other = broker.connect(), broker.connect()
        peer.send(CLOSE)
        peer.lose()
        assert list(broker.factory.connections) == [other.connection]

    def test_in_the_middle_of_everything(self, broker: AmqpBroker) -> None:
        """The connection breaks with half a message, a held confirm and deliveries in flight."""
        peer = broker.connect()
        peer.declare(durable=True)
        peer.call(commands.Confirm.Select())
        peer.consume()
        broker.disk.held = True
        peer.publish("q", b"1", PERSISTENT)
        peer.send(publish_frames(1, "", "q", b"12345", PERSISTENT)[:-3])
        peer.lose()
        broker.disk.release()
        queue = broker.virtual_host.queues["q"]
        assert (queue.ready_count, queue.unsettled_count, queue.consumer_count) == (1, 0, 0)


class TestHeartbeats:
    def test_are_sent_when_nothing_else_is(self, broker: AmqpBroker) -> None:
        """Looked for at every half interval; as with RabbitMQ, our last heartbeat counts, too."""
        peer = broker.connect(heartbeat=10)
        for elapsed, count in [(4.5, 0), (0.5, 0), (4.5, 0), (0.5, 1), (5.0, 1), (5.0, 2)]:
            broker.clock.advance(elapsed)
            peer.send(HEARTBEAT_FRAME)
            assert peer.receive_all() == []
            assert peer.heartbeats_count == count

    def test_are_not_sent_if_there_is_something_else(self, broker: AmqpBroker) -> None:
        peer = broker.connect(heartbeat=10)
        for _ in range(10):
            broker.clock.advance(4)
            peer.declare()
        assert peer.heartbeats_count == 0

    def test_of_zero_are_none(self, broker: AmqpBroker) -> None:
        peer = broker.connect(heartbeat=0)
        broker.clock.pump([100.0] * 10)
        assert peer.receive_all() == []
        assert (peer.heartbeats_count, peer.hung_up) == (0, False)

    def test_a_silent_peer_is_dropped(self, broker: AmqpBroker) -> None:
        """Between two and three intervals, without a word."""
        peer = broker.connect(heartbeat=10)
        broker.clock.pump([1.0] * 19)
        assert not peer.hung_up
        broker.clock.pump([1.0] * 11)
        assert peer.hung_up
        assert peer.receive_all() == []

    def test_a_dead_peer_gives_back_at_once(self, broker: AmqpBroker) -> None:
        """Though its socket may take longer to close."""
        peer, other = broker.connect(heartbeat=1), broker.connect()
        peer.declare()
        peer.publish("q", b"1")
        peer.consume()
        broker.clock.pump([1.0] * 3)
        assert peer.hung_up
        assert [delivery.body for delivery in other.consume()] == [b"1"]

    def test_any_octet_counts(self, broker: AmqpBroker) -> None:
        peer = broker.connect(heartbeat=10)
        for octet in publish_frames(1, "", "q", b"body"):
            broker.clock.advance(9)
            peer.send(bytes((octet,)))
        assert not peer.hung_up

    def test_a_peer_that_is_not_read_from_is_not_silent(self, broker: AmqpBroker) -> None:
        peer, publisher = broker.connect(heartbeat=10), broker.connect()
        peer.declare()
        peer.consume()
        peer.wire.stalled = True
        for _ in range(2):
            publisher.publish("q", bytes(100_000))
        assert peer.wire.producerState == "paused"
        broker.clock.pump([1.0] * 60)
        assert not peer.hung_up
        peer.receive_all()
        assert peer.wire.producerState == "producing"
        broker.clock.pump([1.0] * 31)
        assert peer.hung_up

    def test_a_throttled_publisher_is_not_silent(self, broker: AmqpBroker) -> None:
        peer = broker.connect(heartbeat=10)
        peer.declare(durable=True)
        broker.disk.held = True
        for _ in range(70):
            peer.send(publish_frames(1, "", "q", bytes(1 << 20), PERSISTENT))
            if peer.wire.producerState == "paused":
                break
        assert peer.wire.producerState == "paused"
        broker.clock.pump([1.0] * 60)
        assert not peer.hung_up
        broker.disk.release()
        assert peer.wire.producerState == "producing"
        broker.clock.pump([1.0] * 31)
        assert peer.hung_up


class TestOther:
    def test_update_secret(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        answer = peer.call(commands.Connection.UpdateSecret("secret", "why not"), 0)
        assert isinstance(answer, commands.Connection.UpdateSecretOk)

    def test_blocked_is_not_for_clients_to_say(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        text = "CHANNEL_ERROR - unexpected method in connection state running"
        command = commands.Connection.Blocked("why not")
        assert peer.fail(command, 0) == ("Connection.Close", 504, text)

    def test_access_request_gets_ticket_1(self, broker: AmqpBroker) -> None:
        """AMQP 0-8 had access tickets; some clients still ask for one."""
        peer = broker.connect()
        peer.send(encode_method(1, 30, 10, b"\x05/data\x1e"))
        assert peer.wire.value() == encode_method(1, 30, 11, b"\x00\x01")

    def test_channels_are_counted_not_numbered(self, broker: AmqpBroker) -> None:
        peer = broker.peer()
        peer.open(channel_max=2)
        peer.open_channel(65535)
        peer.open_channel(7)
        text = (
            "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
        )
        assert peer.fail(commands.Channel.Open(), 1) == ("Connection.Close", 530, text)

    def test_a_large_body_in_small_reads_is_copied_few_times(
        self, broker: AmqpBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each octet is looked at in one read, or perhaps two, however small the reads are."""
        looked_at = 0
        receive_frame = AmqpConnection._receive_frame

        def counting(connection: AmqpConnection, data: bytes, position: int) -> int:
            nonlocal looked_at
            looked_at += len(data) - position
            return receive_frame(connection, data, position)

        monkeypatch.setattr(AmqpConnection, "_receive_frame", counting)
        peer = broker.connect()
        peer.declare()
        body = bytes(range(256)) * (1 << 16)
        octets = publish_frames(1, "", "q", body)
        looked_at = 0
        for start in range(0, len(octets), 1024):
            peer.send(octets[start : start + 1024])
        assert looked_at < 2 * len(octets)
        assert peer.get().body == body

    def test_memory_for_what_is_not_whole_is_bounded(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        octets = publish_frames(1, "", "q", bytes(FRAME_MAX - 8))
        for start in range(0, len(octets) - 1, 1000):
            peer.send(octets[start : min(start + 1000, len(octets) - 1)])
            assert peer.connection._input.size <= len(octets)
        assert broker.virtual_host.queues["q"].ready_count == 0
        peer.send(octets[-1:])
        assert broker.virtual_host.queues["q"].ready_count == 1
        assert not peer.connection._input.parts

    def test_empty_body_frames_cost_nothing(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        octets = publish_frames(1, "", "q", b"1")
        body_start = len(octets) - 9
        peer.send(octets[:body_start] + encode_frame(BODY, 1, b"") * 1000)
        content = peer.connection.channels[1].content
        assert content is not None
        assert content.parts == []
        peer.send(octets[body_start:])
        assert peer.get().body == b"1"


def test_one_connection_does_not_disturb_another(broker: AmqpBroker) -> None:
    peer, other = broker.connect(), broker.connect()
    peer.declare()
    assert other.consume() == []
    closed_by(peer, b"\x01\x00\x01\xff\xff\xff\xff")
    other.publish("q", b"1")
    assert other.bodies() == [b"1"]


def test_limits_come_from_the_configuration(broker: AmqpBroker) -> None:
    config = AmqpConfig(channel_max=5, frame_max=10_000, heartbeat_s=7, message_size_max=100)
    small = AmqpBroker(broker.folder / "small", config)
    peer = small.peer()
    peer.start()
    tune: Received = peer.receive()
    assert (tune.command.channel_max, tune.command.frame_max) == (5, 10_000)
    assert tune.command.heartbeat == 7
    peer.method(0, commands.Connection.TuneOk(5, 10_000, 7))
    peer.call(commands.Connection.Open(), 0)
    peer.open_channel(1)
    peer.declare()
    peer.publish("q", bytes(100))
    assert peer.receive_all() == []
    peer.publish("q", bytes(101))
    text = "PRECONDITION_FAILED - message size 101 is larger than configured max size 100"
    assert peer.failure() == ("Channel.Close", 406, text)
    small.stop()
