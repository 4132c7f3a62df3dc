"""Browse, pause, rewind and put back, over HTTP and through an AMQP client's eyes."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands

from gateway.security.permissions import Permission
from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import PERSISTENT, AmqpPeer
from tests.support.disk import FullDisk
from tests.support.http_peer import HttpBroker, encode_request, parse_reply

ORDERS = "queues/%2F/orders"


@pytest.fixture
def peer(broker: HttpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("orders", durable=True)
    return peer


def publish(broker: HttpBroker, peer: AmqpPeer, count: int, start: int = 0) -> None:
    """One message a second."""
    for number in range(start, start + count):
        peer.publish("orders", b"%d" % number, PERSISTENT)
        broker.clock.advance(1)


def browse(broker: HttpBroker, query: str = "", queue: str = "orders") -> Any:
    reply = broker.call("GET", f"queues/%2F/{queue}/browse{query}")
    assert reply.status == 200, reply
    return reply.json


class TestBrowse:
    def test_it_shows_everything_and_changes_nothing(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        raw = encode_properties({"headers": {"n": 5}, "delivery_mode": 2, "type": "t"})
        peer.publish("orders", b"\xff", raw)
        peer.publish("orders", b"text", PERSISTENT)
        assert peer.get("orders").body == b"\xff"
        first, second = browse(broker)
        assert first == {
            "offset": 0,
            "state": "in flight",
            "stored_at": 1_700_000_000_000,
            "exchange": "",
            "routing_key": "orders",
            "properties": {"headers": {"n": 5}, "delivery_mode": 2, "type": "t"},
            "payload_bytes": 1,
            "payload": "/w==",
            "payload_encoding": "base64",
        }
        assert (second["offset"], second["state"], second["payload"]) == (1, "ready", "text")
        got = peer.get("orders")
        assert (got.body, got.command.redelivered) == (b"text", False)

    def test_from_an_offset_on(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        publish(broker, peer, 5)
        for _ in range(3):
            peer.get("orders", no_ack=True)
        assert [each["offset"] for each in browse(broker)] == [3, 4]
        assert [each["offset"] for each in browse(broker, "?from=4")] == [4]
        assert [each["offset"] for each in browse(broker, "?from=1&count=1")] == [3]
        assert browse(broker, "?from=5") == []
        assert browse(broker, "?count=1&truncate=0")[0]["payload"] == ""

    def test_what_is_settled_in_the_middle_is_not_shown(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        publish(broker, peer, 4)
        for _ in range(3):
            peer.get("orders")
        peer.ack(2)
        peer.method(1, commands.Basic.Nack(delivery_tag=3, requeue=True))
        shown = [(each["offset"], each["state"]) for each in browse(broker)]
        assert shown == [(0, "in flight"), (2, "ready"), (3, "ready")]

    def test_a_stream_and_a_queue_with_priorities(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("s", durable=True, arguments={"x-queue-type": "stream"})
        peer.declare("p", durable=True, arguments={"x-max-priority": 3})
        for priority in (0, 2):
            raw = encode_properties({"priority": priority})
            peer.publish("s", b"%d" % priority, raw)
            peer.publish("p", b"%d" % priority, raw)
        offsets = [each["properties"]["headers"] for each in browse(broker, queue="s")]
        assert offsets == [{"x-stream-offset": 0}, {"x-stream-offset": 1}]
        low, high = browse(broker, queue="p")
        assert (low["payload"], high["payload"]) == ("0", "2")
        assert browse(broker, f"?from={high['offset']}", "p") == [high]

    @pytest.mark.parametrize("query", ["?from=-1", "?count=x", "?count=10001", "?encoding=no"])
    def test_nonsense(self, broker: HttpBroker, peer: AmqpPeer, query: str) -> None:
        assert broker.call("GET", f"{ORDERS}/browse{query}").status == 400
        assert broker.call("GET", "queues/%2F/none/browse").status == 404


class TestPause:
    def test_nothing_is_delivered_until_it_is_resumed(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        peer.consume("orders", no_ack=True)
        assert broker.call("POST", f"{ORDERS}/pause").status == 204
        publish(broker, peer, 2)
        assert peer.receive_all() == []
        assert peer.get("orders").name == "Basic.GetEmpty"
        (shown,) = broker.call("GET", "queues").json
        assert (shown["paused"], shown["messages_ready"], shown["consumers"]) == (True, 2, 1)
        assert broker.call("POST", f"{ORDERS}/resume").status == 204
        assert peer.bodies() == [b"0", b"1"]
        assert broker.call("GET", ORDERS).json["paused"] is False

    def test_a_durable_queue_is_still_paused_after_a_restart(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        peer.declare("other", durable=True)
        broker.call("POST", f"{ORDERS}/pause")
        broker.call("POST", "queues/%2F/other/pause")
        broker.call("POST", "queues/%2F/other/resume")
        peer.lose()
        broker.restart()
        paused = {each["name"]: each["paused"] for each in broker.call("GET", "queues").json}
        assert paused == {"orders": True, "other": False}
        peer = broker.connect()
        peer.method(1, commands.Queue.Delete(queue="orders"))
        assert peer.receive().name == "Queue.DeleteOk"
        peer.declare("orders", durable=True)
        assert broker.call("GET", ORDERS).json["paused"] is False, "it is another one"

    def test_a_paused_stream(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("s", durable=True, arguments={"x-queue-type": "stream"})
        peer.call(commands.Basic.Qos(prefetch_count=5))
        peer.consume("s")
        broker.call("POST", "queues/%2F/s/pause")
        peer.publish("s", b"x")
        assert peer.receive_all() == []
        broker.call("POST", "queues/%2F/s/resume")
        assert peer.bodies() == [b"x"]


class TestRewind:
    def test_to_a_time(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        publish(broker, peer, 6)  # From 22:13:20 on.
        for _ in range(5):
            peer.get("orders", no_ack=True)
        reply = broker.call("POST", f"{ORDERS}/rewind", {"time": "2023-11-14T23:13:23+01:00"})
        assert (reply.status, reply.json) == (200, {"more_ready": 2})
        deliveries = peer.consume("orders", no_ack=True)
        got = [(each.body, each.command.redelivered) for each in deliveries]
        assert got == [(b"3", True), (b"4", True), (b"5", False)]

    def test_to_an_offset_with_a_consumer_that_waits(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        peer.consume("orders", no_ack=True)
        publish(broker, peer, 4)
        assert len(peer.bodies()) == 4
        assert broker.call("POST", f"{ORDERS}/rewind", {"offset": 2}).json == {"more_ready": 2}
        assert peer.bodies() == [b"2", b"3"]
        broker.restart()
        assert broker.connect().get("orders").name == "Basic.GetEmpty"

    def test_limits_and_selectors_see_what_came_back(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        arguments = {"x-max-length-bytes": 100}
        peer.declare("limited", durable=True, arguments=arguments)
        peer.consume("limited", "t", arguments={"x-rosetta-selector": "n = 1"})
        raw = encode_properties({"headers": {"n": 1}, "delivery_mode": 2})
        for number in range(3):
            peer.publish("limited", b"%040d" % number, raw)
        assert len(peer.deliveries()) == 3
        peer.ack(3, multiple=True)
        reply = broker.call("POST", "queues/%2F/limited/rewind", {"offset": 0})
        assert reply.json == {"more_ready": 3}
        assert len(peer.deliveries()) == 3

    def test_a_queue_with_priorities(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("p", durable=True, arguments={"x-max-priority": 3})
        for priority in (0, 2, 1):
            raw = encode_properties({"priority": priority, "delivery_mode": 2})
            peer.publish("p", b"%d" % priority, raw)
        for _ in range(3):
            peer.get("p", no_ack=True)
        body = {"time": "2023-11-14T00:00:00Z"}
        assert broker.call("POST", "queues/%2F/p/rewind", body).json == {"more_ready": 3}
        assert [each.body for each in peer.consume("p", no_ack=True)] == [b"2", b"1", b"0"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"time": "10:15"},
            {"time": "2023-11-14T22:13:23"},
            {"offset": -1},
            {"time": "2023-11-14T22:13:23Z", "offset": 1},
        ],
    )
    def test_nonsense(self, broker: HttpBroker, peer: AmqpPeer, body: Any) -> None:
        assert broker.call("POST", f"{ORDERS}/rewind", body).status == 400

    def test_what_cannot_be_rewound(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("s", durable=True, arguments={"x-queue-type": "stream"})
        peer.declare("t")
        for queue in ("s", "t"):
            assert broker.call("POST", f"queues/%2F/{queue}/rewind", {"offset": 0}).status == 400


class TestPutBack:
    @pytest.fixture
    def dead(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        """Six letters: those with an even number were rejected, the others expired."""
        peer.declare("dlq", durable=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"}
        peer.declare("work", durable=True, arguments=arguments)
        for number in range(6):
            fields = {"headers": {"n": number % 3, "color": "red"}, "delivery_mode": 2}
            if number % 2:
                fields["expiration"] = "0"
            peer.publish("work", b"%d" % number, encode_properties(fields))
            if number % 2 == 0:
                peer.get("work")
                peer.method(1, commands.Basic.Reject(delivery_tag=number // 2 + 1, requeue=False))
        assert len(browse(broker, queue="dlq")) == 6

    def put_back(self, broker: HttpBroker, **body: Any) -> Any:
        reply = broker.call("POST", "queues/%2F/dlq/dead-letters", body)
        assert reply.status == 200, reply
        return reply.json["put_back"], reply.json["left"]

    @pytest.mark.usefixtures("dead")
    def test_to_where_they_died(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        assert self.put_back(broker, reason="rejected") == (3, 0)
        got = [peer.get("work") for _ in range(3)]
        assert [each.body for each in got] == [b"0", b"2", b"4"]
        headers = decode_properties(got[1].properties)["headers"]
        assert headers["x-death"][0]["reason"] == "rejected"
        assert (headers["n"], headers["color"]) == (2, "red")
        left = browse(broker, queue="dlq")
        assert [(each["payload"], each["state"]) for each in left] == [
            (body, "ready") for body in ("1", "3", "5")
        ]
        peer.method(
            1, commands.Basic.Reject(delivery_tag=got[0].command.delivery_tag, requeue=False)
        )
        again = browse(broker, queue="dlq")[-1]["properties"]["headers"]["x-death"][0]
        assert (again["count"], again["queue"]) == (2, "work"), "its history goes on"

    @pytest.mark.usefixtures("dead")
    def test_those_that_match(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        to = {"exchange": "", "routing_key": "orders"}
        assert self.put_back(broker, headers={"n": "1", "color": "red"}, to=to) == (2, 0)
        assert [peer.get("orders").body for _ in range(2)] == [b"1", b"4"]
        assert self.put_back(broker, headers={"n": "7"}) == (0, 0)
        assert self.put_back(broker, queue="elsewhere") == (0, 0)
        assert self.put_back(broker, queue="work", count=1, to=to) == (1, 0)
        assert peer.get("orders").body == b"0"
        assert not peer.get("dlq").command.redelivered

    @pytest.mark.usefixtures("dead")
    def test_under_the_key_that_they_had(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.call(commands.Queue.Bind(queue="orders", exchange="amq.direct", routing_key="work"))
        assert self.put_back(broker, count=1, to={"exchange": "amq.direct"}) == (1, 0)
        got = peer.get("orders")
        assert (got.command.exchange, got.command.routing_key) == ("amq.direct", "work")

    def test_at_an_exchange_that_delays_them(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("dlq")
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"}
        peer.declare("work", arguments=arguments)
        peer.publish("work", b"late", encode_properties({"headers": {"x-delay": 1000}}))
        peer.get("work")
        peer.method(1, commands.Basic.Reject(delivery_tag=1, requeue=False))
        late = {"exchange": "late", "exchange_type": "x-delayed-message"}
        peer.call(commands.Exchange.Declare(**late, arguments={"x-delayed-type": "fanout"}))
        peer.call(commands.Queue.Bind(queue="orders", exchange="late"))
        assert self.put_back(broker, to={"exchange": "late"}) == (1, 0)
        broker.clock.advance(1.1)
        assert peer.get("orders").body == b"late"

    @pytest.mark.usefixtures("dead")
    def test_what_finds_no_queue_or_a_full_one_stays(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        assert self.put_back(broker, to={"exchange": "", "routing_key": "none"}) == (0, 6)
        arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
        peer.declare("small", durable=True, arguments=arguments)
        assert self.put_back(broker, to={"exchange": "", "routing_key": "small"}) == (2, 4)
        assert len(browse(broker, queue="dlq")) == 4

    @pytest.mark.usefixtures("dead")
    def test_what_dies_again_is_not_put_back_again(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        arguments = {
            "x-message-ttl": 0,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "dlq",
        }
        peer.declare("hasty", durable=True, arguments=arguments)
        assert self.put_back(broker, to={"exchange": "", "routing_key": "hasty"}) == (6, 0)
        assert len(browse(broker, queue="dlq")) == 6

    @pytest.mark.usefixtures("dead")
    def test_a_crash_may_double_but_not_lose(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        """The letter is settled when its copy is on the disk, not before."""
        broker.disk.held = True
        channel, wire = broker.open()
        channel.dataReceived(encode_request("POST", "queues/%2F/dlq/dead-letters", {"count": 1}))
        shown = browse(broker, queue="dlq")
        assert (shown[0]["state"], len(shown)) == ("in flight", 6)
        assert wire.value() == b""
        broker.disk.release()
        assert parse_reply(wire.value()).json == {"put_back": 1, "left": 0}
        assert len(browse(broker, queue="dlq")) == 5

    def test_a_disk_that_refuses_leaves_them_where_they_are(
        self, broker: HttpBroker, peer: AmqpPeer, dead: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            FullDisk(patch, 0)
            assert broker.call("POST", "queues/%2F/dlq/dead-letters", {}).status == 503
        left = browse(broker, queue="dlq")
        assert [each["state"] for each in left] == ["ready"] * 6
        assert self.put_back(broker) == (6, 0)

    def test_many_are_put_back_in_slices(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("dlq", durable=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"}
        peer.declare("work", durable=True, arguments={**arguments, "x-max-length": 0})
        for number in range(700):
            peer.publish("work", b"%d" % number)
        to = {"exchange": "", "routing_key": "orders"}
        assert self.put_back(broker, count=650, to=to) == (650, 0)
        peer.consume("orders", no_ack=True)
        assert [each["payload"] for each in browse(broker, queue="dlq")][:1] == ["650"]

    def test_what_no_queue_of_ours_says_died_is_no_dead_letter(
        self, broker: HttpBroker, peer: AmqpPeer
    ) -> None:
        death = {"queue": "work", "reason": "rejected", "routing-keys": ["work"]}
        peer.publish("orders", b"claimed", encode_properties({"headers": {"x-death": [death]}}))
        reply = broker.call("POST", f"{ORDERS}/dead-letters", {})
        assert reply.json == {"put_back": 0, "left": 0}


class TestPermissions:
    @pytest.mark.parametrize(
        ("method", "tool", "body", "needed"),
        [
            ("GET", "browse", None, ("^$", "^$", "orders")),
            ("POST", "pause", None, ("orders", "^$", "^$")),
            ("POST", "resume", None, ("orders", "^$", "^$")),
            ("POST", "rewind", {"offset": 0}, ("orders", "^$", "orders")),
            ("POST", "dead-letters", {}, ("^$", "^$", "orders")),
        ],
    )
    def test_each_tool_asks_for_its_own(
        self,
        broker: HttpBroker,
        peer: AmqpPeer,
        method: str,
        tool: str,
        body: Any,
        needed: tuple[str, str, str],
    ) -> None:
        broker.gateway.users.put("u", password="p", tags=["management"])
        for position, pattern in enumerate(needed):
            if pattern == "^$":
                continue
            given = ["^$" if at == position else ".*" for at in range(3)]
            broker.gateway.permissions.put(Permission("u", "/", *given))
            refused = broker.call(method, f"{ORDERS}/{tool}", body, user="u", password="p")
            assert refused.status == 401, refused
        broker.gateway.permissions.put(Permission("u", "/", *needed))
        allowed = broker.call(method, f"{ORDERS}/{tool}", body, user="u", password="p")
        assert allowed.status in (200, 204)

    def test_putting_back_is_publishing(self, broker: HttpBroker, peer: AmqpPeer) -> None:
        peer.declare("dlq")
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"}
        peer.declare("work", arguments=arguments)
        peer.publish("work", b"x")
        peer.get("work")
        peer.method(1, commands.Basic.Reject(delivery_tag=1, requeue=False))
        broker.gateway.users.put("u", password="p", tags=["management"])
        broker.gateway.permissions.put(Permission("u", "/", ".*", "^$", ".*"))
        path = "queues/%2F/dlq/dead-letters"
        reply = broker.call("POST", path, {}, user="u", password="p")
        assert reply.status == 401
        assert [each["state"] for each in browse(broker, queue="dlq")] == ["ready"]
