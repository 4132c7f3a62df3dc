"""Delayed messages as an AMQP client sees them: the plugin's exchange, and our own headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pamqp import commands

from gateway.values import Long, UnsignedInt
from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import (
    PERSISTENT,
    AmqpBroker,
    AmqpPeer,
    Received,
    method_frame,
    publish_frames,
)
from tests.support.disk import FullDisk


@pytest.fixture
def broker(tmp_path: Path) -> AmqpBroker:
    return AmqpBroker(tmp_path)


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    declare_exchange(peer, durable=True)
    peer.declare("q", durable=True)
    peer.call(commands.Queue.Bind(queue="q", exchange="late", routing_key="k"))
    return peer


def declare_exchange(
    peer: AmqpPeer, name: str = "late", type: str = "direct", durable: bool = False
) -> None:
    peer.call(
        commands.Exchange.Declare(
            exchange=name,
            exchange_type="x-delayed-message",
            durable=durable,
            arguments={"x-delayed-type": type},
        )
    )


def with_headers(**headers: Any) -> bytes:
    """Properties; underscores in the names of headers are hyphens."""
    return encode_properties(
        {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}
    )


def headers_of(received: Received) -> Any:
    return decode_properties(received.properties)["headers"]


def bodies(peer: AmqpPeer, queue: str = "q") -> list[bytes]:
    found = []
    while (got := peer.get(queue)).name == "Basic.GetOk":
        found.append(got.body)
        peer.method(1, commands.Basic.Ack(delivery_tag=got.command.delivery_tag))
    return found


def delay(peer: AmqpPeer, body: bytes, delay_ms: Any, key: str = "k", **options: Any) -> None:
    peer.publish(key, body, with_headers(x_delay=delay_ms), exchange="late", **options)


class TestExchange:
    def test_delivers_after_the_delay_with_the_delay_negated(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        peer.publish(
            "k", b"body", encode_properties({"headers": {"x-delay": 5000, "a": Long(1)},
                                             "priority": 3}), exchange="late",
        )  # fmt: skip
        broker.clock.advance(4.9)
        assert peer.get("q").name == "Basic.GetEmpty"
        broker.clock.advance(0.1)
        got = peer.get("q")
        assert got.body == b"body"
        assert (got.command.exchange, got.command.routing_key) == ("late", "k")
        properties = decode_properties(got.properties)
        assert properties == {"headers": {"x-delay": -5000, "a": 1}, "priority": 3}
        assert type(properties["headers"]["a"]) is Long

    def test_in_the_order_of_the_times(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        for body, delay_ms in ((b"3", 3000), (b"1", 1000), (b"2", 2000), (b"0", 0)):
            delay(peer, body, delay_ms)
        broker.clock.advance(5)
        assert bodies(peer) == [b"0", b"1", b"2", b"3"]

    @pytest.mark.parametrize(
        "value", [1000, Long(1000), UnsignedInt(1000), 1000.9, "1000"], ids=repr
    )
    def test_any_number_is_a_delay(self, broker: AmqpBroker, peer: AmqpPeer, value: Any) -> None:
        delay(peer, b"x", value)
        assert bodies(peer) == []
        broker.clock.advance(1)
        got = peer.get("q")
        assert headers_of(got) == {"x-delay": -1000}

    @pytest.mark.parametrize("value", [0, -5, Long(4_294_967_296), "soon", True, [1]], ids=repr)
    def test_anything_else_is_none(self, peer: AmqpPeer, value: Any) -> None:
        delay(peer, b"x", value)
        assert headers_of(peer.get("q")) == {"x-delay": value}

    def test_the_longest_delay(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        delay(peer, b"x", Long(4_294_967_295))
        broker.clock.advance(4_294_967)
        assert bodies(peer) == []
        broker.clock.advance(1)
        assert headers_of(peer.get("q")) == {"x-delay": -4_294_967_295}

    def test_routes_by_the_bindings_of_that_time(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        delay(peer, b"x", 1000)
        delay(peer, b"nowhere", 1000, key="nobody's")
        peer.declare("later")
        peer.call(commands.Queue.Bind(queue="later", exchange="late", routing_key="k"))
        peer.call(commands.Queue.Unbind(queue="q", exchange="late", routing_key="k"))
        broker.clock.advance(1)
        assert bodies(peer) == []
        assert bodies(peer, "later") == [b"x"]

    def test_routes_by_the_headers_of_another_type(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        """As RabbitMQ's JMS client delays."""
        declare_exchange(peer, "jms", "headers")
        arguments = {"delayed-exchange": "amq.fanout"}
        peer.call(commands.Exchange.Bind(
            destination="amq.fanout", source="jms", routing_key="", arguments=arguments
        ))  # fmt: skip
        peer.call(commands.Queue.Bind(queue="q", exchange="amq.fanout", routing_key=""))
        headers = with_headers(x_delay=Long(100), delayed_exchange="amq.fanout")
        peer.publish("any", b"x", headers, exchange="jms")
        peer.publish("any", b"y", with_headers(x_delay=Long(100)), exchange="jms")
        broker.clock.advance(0.1)
        assert bodies(peer) == [b"x"]

    def test_carbon_copies(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        for name in ("cc", "bcc"):
            peer.declare(name)
            peer.call(commands.Queue.Bind(queue=name, exchange="late", routing_key=name))
        headers = encode_properties({"headers": {"x-delay": 10, "CC": ["cc"], "BCC": ["bcc"]}})
        peer.publish("k", b"x", headers, exchange="late")
        broker.clock.advance(1)
        assert [bodies(peer, name) for name in ("q", "cc", "bcc")] == [[b"x"]] * 3

    def test_confirmed_when_it_is_stored(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.call(commands.Confirm.Select())
        broker.disk.held = True
        delay(peer, b"x", 1000)
        assert peer.receive_all() == []
        broker.disk.release()
        (confirm,) = peer.receive_all()
        assert (confirm.name, confirm.command.delivery_tag) == ("Basic.Ack", 1)

    def test_a_mandatory_one_is_returned_and_delivered(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        peer.call(commands.Confirm.Select())
        delay(peer, b"x", 1000, mandatory=True)
        returned, confirm = peer.receive_all()
        assert (returned.name, returned.command.reply_code) == ("Basic.Return", 312)
        assert returned.body == b"x"
        assert headers_of(returned) == {"x-delay": 1000}
        assert confirm.name == "Basic.Ack"
        broker.clock.advance(1)
        assert bodies(peer) == [b"x"]

    def test_in_a_transaction(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.call(commands.Tx.Select())
        delay(peer, b"rolled back", 1000)
        peer.call(commands.Tx.Rollback())
        delay(peer, b"late", 1000)
        peer.publish("q", b"now")
        broker.clock.advance(5)
        assert isinstance(peer.call(commands.Tx.Commit()), commands.Tx.CommitOk)
        broker.clock.advance(0.9)
        assert peer.get("q").body == b"now"
        broker.clock.advance(0.1)
        assert peer.get("q").body == b"late"

    def test_kept_over_a_restart(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        """Transient ones as well, as the plugin keeps them."""
        delay(peer, b"a", 2000)
        delay(peer, b"b", 60_000)
        broker.restart()
        peer = broker.connect()
        broker.clock.advance(2)
        assert bodies(peer) == [b"a"]
        broker.restart()
        broker.clock.advance(100)
        assert bodies(broker.connect()) == [b"b"]

    def test_deleting_it_drops_what_it_delays(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        delay(peer, b"x", 1000)
        assert broker.virtual_host.delays.count("late") == 1
        peer.call(commands.Exchange.Delete(exchange="late"))
        assert broker.virtual_host.delays.total_count == 0
        declare_exchange(peer, durable=True)
        peer.call(commands.Queue.Bind(queue="q", exchange="late", routing_key="k"))
        broker.clock.advance(1)
        assert bodies(peer) == []

    def test_a_transient_exchange_takes_them_along(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        declare_exchange(peer, "brief")
        peer.call(commands.Queue.Bind(queue="q", exchange="brief", routing_key="k"))
        peer.publish("k", b"x", with_headers(x_delay=1000), exchange="brief")
        broker.restart()
        broker.clock.advance(2)
        assert bodies(broker.connect()) == []

    def test_dead_letters_are_delayed(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        arguments = {"x-dead-letter-exchange": "late", "x-dead-letter-routing-key": "k"}
        peer.declare("work", arguments=arguments)
        peer.publish("work", b"x", with_headers(x_delay=1000))
        got = peer.get("work")
        peer.method(1, commands.Basic.Reject(delivery_tag=got.command.delivery_tag, requeue=False))
        broker.clock.advance(0.9)
        assert bodies(peer) == []
        broker.clock.advance(0.1)
        headers = headers_of(peer.get("q"))
        assert headers["x-delay"] == -1000
        assert headers["x-death"][0]["queue"] == "work"

    @pytest.mark.parametrize("arguments", [{}, {"x-delayed-type": 1}, {"x-delayed-type": "odd"}])
    def test_without_a_type_behind_it(self, peer: AmqpPeer, arguments: dict[str, Any]) -> None:
        text = "Invalid argument, 'x-delayed-type' must be an existing exchange type"
        assert self.refusal(peer, arguments) == text

    def test_behind_itself(self, peer: AmqpPeer) -> None:
        text = "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"
        assert self.refusal(peer, {"x-delayed-type": "x-delayed-message"}) == text

    def refusal(self, peer: AmqpPeer, arguments: dict[str, Any]) -> str:
        command = commands.Exchange.Declare(
            exchange="e", exchange_type="x-delayed-message", arguments=arguments
        )
        name, code, text = peer.fail(command)
        assert (name, code) == ("Channel.Close", 406)
        return text.removeprefix("PRECONDITION_FAILED - ")


class TestHeaders:
    def test_any_message_may_be_delayed(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"x", with_headers(x_rosetta_delay=1500))
        peer.publish("q", b"now")
        broker.clock.advance(1.4)
        assert bodies(peer) == [b"now"]
        broker.clock.advance(0.1)
        got = peer.get("q")
        assert (got.command.exchange, got.command.routing_key, got.body) == ("", "q", b"x")
        assert headers_of(got) == {"x-rosetta-delay": -1500}

    def test_until_a_time(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        at_ms = int(broker.clock.seconds() * 1000) + 2000
        peer.publish("q", b"x", with_headers(x_rosetta_deliver_at=Long(at_ms)))
        broker.clock.advance(1.9)
        assert bodies(peer) == []
        broker.clock.advance(0.1)
        assert bodies(peer) == [b"x"]

    def test_a_time_that_is_past(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"x", with_headers(x_rosetta_deliver_at=1))
        broker.clock.advance(0)
        assert bodies(peer) == [b"x"]

    def test_a_mandatory_one_is_not_returned(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("q", b"x", with_headers(x_rosetta_delay=10), mandatory=True)
        assert peer.receive_all() == []

    def test_x_delay_means_nothing_elsewhere(self, peer: AmqpPeer) -> None:
        peer.publish("q", b"x", with_headers(x_delay=5000))
        assert headers_of(peer.get("q")) == {"x-delay": 5000}

    @pytest.mark.parametrize(
        "headers", [{"x_rosetta_delay": "soon"}, {"x_rosetta_deliver_at": -1}], ids=repr
    )
    def test_what_is_no_time_is_refused(self, peer: AmqpPeer, headers: dict[str, Any]) -> None:
        peer.publish("q", b"x", with_headers(**headers))
        name, code, text = peer.failure()
        assert (name, code) == ("Channel.Close", 406)
        assert "invalid x-rosetta-d" in text

    def test_who_may_not_publish_may_not_delay(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        peer.publish("k", b"x", with_headers(x_rosetta_delay=1), exchange="missing")
        assert peer.failure()[1] == 404

    def test_the_expiration_counts_from_then(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        properties = encode_properties({"headers": {"x-rosetta-delay": 5000}, "expiration": "1000"})
        peer.publish("q", b"x", properties)
        broker.clock.advance(5)
        assert peer.get("q").body == b"x"

    def test_what_is_published_then_is_settled_when_it_is_stored(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        headers = encode_properties({"headers": {"x-rosetta-delay": 1000}, "delivery_mode": 2})
        peer.publish("q", b"x", headers)
        broker.disk.held = True
        broker.clock.advance(1)
        assert broker.virtual_host.delays.total_count == 1
        broker.disk.release()
        assert broker.virtual_host.delays.total_count == 0
        peer.publish("q", b"y", PERSISTENT)
        assert bodies(peer) == [b"x", b"y"]


class TestOfOneRead:
    def test_are_one_record_of_the_log(self, broker: AmqpBroker, peer: AmqpPeer) -> None:
        """The head of a record is 36 octets: less than a third of it for each more of three."""
        octets = publish_frames(1, "", "q", b"x", with_headers(x_rosetta_delay=1000))
        ends = [broker.gateway.broker.log_end]
        for count in (1, 3):
            peer.send(octets * count)
            ends.append(broker.gateway.broker.log_end)
        alone, three = ends[1] - ends[0], ends[2] - ends[1]
        assert three == 3 * (alone - 36) + 36
        broker.clock.advance(1)
        assert bodies(peer) == [b"x"] * 4

    def test_wait_for_room_on_the_disk(
        self, broker: AmqpBroker, peer: AmqpPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        peer.call(commands.Confirm.Select())
        disk = FullDisk(monkeypatch, room=0)
        peer.publish("q", b"x", with_headers(x_rosetta_delay=1000))
        assert [each.name for each in peer.receive_all()] in ([], ["Connection.Blocked"])
        broker.clock.advance(5)
        assert "Basic.Ack" not in [each.name for each in peer.receive_all()]
        disk.room = 1 << 20
        broker.clock.advance(5)
        assert "Basic.Ack" in [each.name for each in peer.receive_all()]
        broker.clock.advance(1)
        assert bodies(peer) == [b"x"]

    def test_go_with_an_exchange_that_is_deleted_behind_them(
        self, broker: AmqpBroker, peer: AmqpPeer
    ) -> None:
        octets = publish_frames(1, "late", "k", b"x", with_headers(x_delay=1000))
        peer.send(octets + method_frame(1, commands.Exchange.Delete(exchange="late")))
        assert [each.name for each in peer.receive_all()] == ["Exchange.DeleteOk"]
        assert broker.virtual_host.delays.total_count == 0
