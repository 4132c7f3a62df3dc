import pytest
from pamqp import commands

from protocols.amqp.codec import HEARTBEAT_FRAME, PROTOCOL_HEADER, encode_method
from tests.support.amqp_peer import FRAME_MAX, AmqpBroker, AmqpPeer, method_frame, start_ok_frame

LOGIN_REFUSED = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."
    " For details see the broker logfile."
)


def started(broker: AmqpBroker, host: str = "127.0.0.1") -> AmqpPeer:
    peer = broker.peer(host)
    peer.send(PROTOCOL_HEADER)
    assert peer.receive().name == "Connection.Start"
    return peer


def tuning(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.peer()
    peer.start()
    assert peer.receive().name == "Connection.Tune"
    return peer


def opening(broker: AmqpBroker) -> AmqpPeer:
    peer = tuning(broker)
    peer.method(0, commands.Connection.TuneOk(2047, FRAME_MAX, 0))
    assert peer.receive_all() == []
    return peer


def assert_silently_refused(peer: AmqpPeer) -> None:
    """No word, and after three seconds no connection."""
    assert peer.receive_all() == []
    peer.broker.clock.advance(2.9)
    assert not peer.hung_up
    peer.send(HEARTBEAT_FRAME)
    assert not peer.hung_up
    peer.broker.clock.advance(0.2)
    assert peer.hung_up
    assert peer.receive_all() == []


class TestProtocolHeader:
    @pytest.mark.parametrize("header", [PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09"])
    @pytest.mark.parametrize("chunk_size", [1, 3, 7, 8])
    def test_is_answered_with_start(
        self, broker: AmqpBroker, header: bytes, chunk_size: int
    ) -> None:
        peer = broker.peer()
        for start in range(0, len(header), chunk_size):
            assert peer.receive_all() == []
            peer.send(header[start : start + chunk_size])
        start_method = peer.receive().command
        assert (start_method.version_major, start_method.version_minor) == (0, 9)
        assert start_method.mechanisms.split() == [b"PLAIN", b"AMQPLAIN"]
        assert start_method.locales == b"en_US"
        properties = start_method.server_properties
        assert properties["product"] == "RabbitMQ"
        assert all(number.isdigit() for number in properties["version"].split("."))
        assert properties["capabilities"]["publisher_confirms"] is True
        assert set(map(type, properties["capabilities"].values())) == {bool}

    @pytest.mark.parametrize(
        "junk",
        [
            b"AMQP\x00\x00\x09\x02",
            b"AMQP\x00\x01\x00\x00",
            b"AMQP\x03\x01\x00\x00",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"\n",
        ],
    )
    def test_others_are_answered_with_ours(self, broker: AmqpBroker, junk: bytes) -> None:
        peer = broker.peer()
        peer.send(junk)
        assert peer.wire.value() == PROTOCOL_HEADER
        assert peer.hung_up

    def test_the_handshake_has_ten_seconds(self, broker: AmqpBroker) -> None:
        silent, slow = broker.peer(), tuning(broker)
        broker.clock.advance(9.9)
        assert not silent.hung_up
        assert not slow.hung_up
        broker.clock.advance(0.2)
        assert silent.hung_up
        assert silent.wire.value() == b""
        assert slow.hung_up
        assert slow.wire.value() == b""

    def test_an_open_connection_has_all_the_time(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        broker.clock.advance(1000)
        assert not peer.hung_up


class TestLogin:
    def test_plain(self, broker: AmqpBroker) -> None:
        peer = started(broker)
        peer.send(start_ok_frame(b"\0guest\0guest"))
        tune = peer.receive().command
        assert (tune.channel_max, tune.frame_max, tune.heartbeat) == (2047, FRAME_MAX, 60)

    def test_amqplain(self, broker: AmqpBroker) -> None:
        peer = started(broker)
        response = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest"
        peer.send(start_ok_frame(response, "AMQPLAIN"))
        assert peer.receive().name == "Connection.Tune"

    @pytest.mark.parametrize("response", [b"\0guest\0wrong", b"\0nobody\0guest", b"\0guest\0"])
    def test_wrong_credentials_with_the_capability(
        self, broker: AmqpBroker, response: bytes
    ) -> None:
        peer = started(broker)
        peer.send(start_ok_frame(response, capabilities=("authentication_failure_close",)))
        close = peer.receive()
        assert close.failure == ("Connection.Close", 403, LOGIN_REFUSED)
        assert (close.command.class_id, close.command.method_id) == (0, 0)
        peer.method(0, commands.Connection.CloseOk())
        assert peer.hung_up

    def test_wrong_credentials_without_the_capability(self, broker: AmqpBroker) -> None:
        peer = started(broker)
        peer.send(start_ok_frame(b"\0guest\0wrong"))
        assert_silently_refused(peer)

    def test_guest_from_elsewhere_is_like_wrong_credentials(self, broker: AmqpBroker) -> None:
        peer = started(broker, "192.0.2.1")
        capabilities = ("authentication_failure_close",)
        peer.send(start_ok_frame(b"\0guest\0guest", capabilities=capabilities))
        assert peer.receive().failure == ("Connection.Close", 403, LOGIN_REFUSED)
        broker.clock.advance(3.1)
        assert peer.hung_up

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
    def test_guest_from_here(self, broker: AmqpBroker, host: str) -> None:
        peer = started(broker, host)
        peer.send(start_ok_frame(b"\0guest\0guest"))
        assert peer.receive().name == "Connection.Tune"

    @pytest.mark.parametrize(
        ("mechanism", "response"),
        [
            ("EXTERNAL", b""),
            ("", b"\0guest\0guest"),
            ("PLAIN", b"guest\0guest"),
            ("PLAIN", b"guest\0guest\0guest"),
            ("PLAIN", b"\0guest\0guest\0"),
            ("PLAIN", b""),
            ("AMQPLAIN", b"\x05LOGIN"),
            ("AMQPLAIN", b"\0guest\0guest"),
            ("AMQPLAIN", b"\x05LOGINS\0\0\0\x05guest"),
        ],
    )
    def test_what_is_no_login_is_met_with_silence(
        self, broker: AmqpBroker, mechanism: str, response: bytes
    ) -> None:
        peer = started(broker)
        capabilities = ("authentication_failure_close",)
        peer.send(start_ok_frame(response, mechanism, capabilities))
        assert_silently_refused(peer)

    @pytest.mark.parametrize(
        "octets",
        [
            method_frame(0, commands.Connection.TuneOk()),
            method_frame(0, commands.Connection.Close()),
            method_frame(1, commands.Channel.Open()),
            encode_method(0, 10, 11, b"junk"),
            encode_method(0, 99, 99),
            b"\x01\x00\x00\xff\xff\xff\xff",
            b"\x09\x00\x00\x00\x00\x00\x00\xce",
            b"\x01\x00\x00\x00\x00\x00\x01ab",
        ],
    )
    def test_what_is_no_start_ok_is_met_with_silence(
        self, broker: AmqpBroker, octets: bytes
    ) -> None:
        peer = started(broker)
        peer.send(octets)
        assert_silently_refused(peer)

    def test_one_who_is_refused_is_not_listened_to(self, broker: AmqpBroker) -> None:
        """Nor is what it still sends kept."""
        peer = started(broker)
        peer.send(start_ok_frame(b"\0guest\0wrong"))
        for _ in range(10):
            peer.send(bytes(100_000))
        assert not peer.connection._input.parts
        assert_silently_refused(peer)

    def test_heartbeats_are_welcome_at_any_time(self, broker: AmqpBroker) -> None:
        peer = started(broker)
        peer.send(HEARTBEAT_FRAME + start_ok_frame(b"\0guest\0guest") + HEARTBEAT_FRAME)
        assert peer.receive().name == "Connection.Tune"


class TestTune:
    @pytest.mark.parametrize(
        ("channel_max", "frame_max", "text"),
        [
            (2047, 4095, "frame_max = 4095 is lower than the minimum allowed value (4096)"),
            (2047, 0, "frame_max = 0 is higher than the maximum allowed value (131072)"),
            (2047, 131073, "frame_max = 131073 is higher than the maximum allowed value (131072)"),
            (
                0,
                FRAME_MAX,
                "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
            ),
            (2048, FRAME_MAX, "channel_max = 2048 is higher than the maximum allowed value (2047)"),
        ],
    )
    def test_limits(self, broker: AmqpBroker, channel_max: int, frame_max: int, text: str) -> None:
        peer = tuning(broker)
        peer.method(0, commands.Connection.TuneOk(channel_max, frame_max, 0))
        close = peer.receive()
        assert close.failure == ("Connection.Close", 530, f"NOT_ALLOWED - negotiated {text}")
        assert (close.command.class_id, close.command.method_id) == (10, 31)

    @pytest.mark.parametrize(
        ("channel_max", "frame_max", "heartbeat"),
        [(1, 4096, 0), (2047, FRAME_MAX, 65535), (17, 8192, 1)],
    )
    def test_what_is_accepted(
        self, broker: AmqpBroker, channel_max: int, frame_max: int, heartbeat: int
    ) -> None:
        peer = tuning(broker)
        peer.method(0, commands.Connection.TuneOk(channel_max, frame_max, heartbeat))
        peer.method(0, commands.Connection.Open())
        assert peer.receive().name == "Connection.OpenOk"

    def test_a_frame_before_tuning_is_small(self, broker: AmqpBroker) -> None:
        peer = tuning(broker)
        peer.send(b"\x01\x00\x00\x00\x00\x20\x01")
        assert peer.receive().failure == (
            "Connection.Close",
            501,
            "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,8193,8184}",
        )

    def test_another_method_is_unexpected(self, broker: AmqpBroker) -> None:
        peer = tuning(broker)
        text = "CHANNEL_ERROR - unexpected method in connection state tuning"
        assert peer.fail(commands.Connection.Open(), 0) == ("Connection.Close", 504, text)


class TestOpen:
    def test_of_a_virtual_host_that_is_not_there(self, broker: AmqpBroker) -> None:
        peer = opening(broker)
        peer.method(0, commands.Connection.Open(virtual_host="none"))
        close = peer.receive()
        assert close.failure == ("Connection.Close", 530, "NOT_ALLOWED - vhost none not found")
        assert (close.command.class_id, close.command.method_id) == (10, 40)

    def test_another_method_is_unexpected(self, broker: AmqpBroker) -> None:
        peer = opening(broker)
        text = "CHANNEL_ERROR - unexpected method in connection state opening"
        assert peer.fail(commands.Connection.TuneOk(), 0) == ("Connection.Close", 504, text)

    def test_a_channel_must_wait_for_it(self, broker: AmqpBroker) -> None:
        peer = opening(broker)
        peer.method(1, commands.Channel.Open())
        assert peer.receive().failure == (
            "Connection.Close",
            505,
            "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,1,48>>",
        )

    def test_everything_at_once(self, broker: AmqpBroker) -> None:
        """A client need not wait for any answer."""
        peer = broker.peer()
        peer.send(
            PROTOCOL_HEADER
            + start_ok_frame(b"\0guest\0guest")
            + method_frame(0, commands.Connection.TuneOk(2047, FRAME_MAX, 0))
            + method_frame(0, commands.Connection.Open())
            + method_frame(1, commands.Channel.Open())
        )
        assert [received.name for received in peer.receive_all()] == [
            "Connection.Start",
            "Connection.Tune",
            "Connection.OpenOk",
            "Channel.OpenOk",
        ]
