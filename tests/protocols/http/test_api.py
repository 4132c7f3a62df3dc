"""The API as clients of RabbitMQ's use it, octets in and octets out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pamqp import commands
from twisted.python.failure import Failure

from gateway.declarations import QueueDeclaration
from gateway.security.permissions import Permission
from protocols.http.api import Api, Request, Response
from protocols.http.front_end import HttpConfig
from tests.support.http_peer import HttpBroker, parse_reply

NOT_FOUND = {"error": "Object Not Found", "reason": "Not Found"}


def add_user(broker: HttpBroker, name: str, *tags: str) -> dict[str, str]:
    broker.gateway.users.put(name, password="x", tags=tags)
    return {"user": name, "password": "x"}


class TestLogin:
    def test_who_am_i(self, broker: HttpBroker) -> None:
        assert broker.get("whoami") == {"name": "guest", "tags": ["administrator"]}

    def test_wrong_password(self, broker: HttpBroker) -> None:
        reply = broker.call("GET", "whoami", password="wrong")
        assert (reply.status, reply.json["error"]) == (401, "not_authorized")
        assert reply.headers["www-authenticate"] == 'basic realm="rabbitmq management"'

    @pytest.mark.parametrize("value", ["", "Basic", "Basic !", "Bearer x", "Basic Z3Vlc3Q="])
    def test_no_credentials(self, broker: HttpBroker, value: str) -> None:
        request = f"GET /api/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: {value}\r\n\r\n"
        assert parse_reply(broker.send(request.encode())).status == 401

    def test_guest_from_elsewhere(self, broker: HttpBroker) -> None:
        assert broker.call("GET", "whoami", host="192.0.2.1").status == 401

    def test_a_user_without_a_tag(self, broker: HttpBroker) -> None:
        reply = broker.call("GET", "whoami", **add_user(broker, "ada"))
        assert (reply.status, reply.json["error"]) == (401, "not_authorised")

    def test_what_tags_open(self, broker: HttpBroker) -> None:
        ada = add_user(broker, "ada", "management")
        eve = add_user(broker, "eve", "monitoring")
        assert broker.get("vhosts", **ada) == []
        assert [host["name"] for host in broker.get("vhosts", **eve)] == ["/"]
        assert broker.call("GET", "nodes", **ada).status == 401
        assert broker.get("nodes", **eve)[0]["running"]
        assert broker.call("GET", "users", **eve).status == 401
        assert broker.call("GET", "queues/%2F", **ada).status == 401
        broker.gateway.permissions.put(Permission("ada", "/", "", "", ""))
        assert broker.get("queues/%2F", **ada) == []
        reply = broker.call("PUT", "queues/%2F/q", {}, **ada)
        assert (reply.status, reply.json["reason"]) == (
            401,
            "configure access to queue 'q' in vhost '/' refused for user 'ada'",
        )
        assert broker.call("PUT", "queues/%2F/q", {}, **eve).status == 401


class TestRequests:
    def test_what_is_not_there(self, broker: HttpBroker) -> None:
        for path in ("nothing", "queues/%2F/q", "queues/nowhere", "users/ada", "nodes/x", "%00"):
            assert broker.call("GET", path).status in (400, 404), path
        assert broker.call("GET", "queues/%2F/q").json == NOT_FOUND
        assert parse_reply(broker.send(b"GET / HTTP/1.1\r\n\r\n")).status == 404

    def test_a_method_that_is_not_allowed(self, broker: HttpBroker) -> None:
        reply = broker.call("POST", "overview")
        assert (reply.status, reply.json["error"]) == (405, "method_not_allowed")

    @pytest.mark.parametrize(
        ("path", "content"),
        [
            ("queues/%2F/q", "{"),
            ("queues/%2F/q", "[]"),
            ("queues/%2F/q", '{"durable": "perhaps"}'),
            ("queues/%2F/q", '{"arguments": {"x": 99999999999999999999}}'),
            ("queues/%2F/q", '{"arguments": {"x": "\\ud800"}}'),
            ("queues/%2F/q", '{"arguments": {"x": ' + "[" * 50 + "]" * 50 + "}}"),
            ("queues/%2F/q", '{"arguments": ' + "[" * 100_000),
            ("queues/%2F/amq.q", "{}"),
            ("queues/%2F/" + "q" * 256, "{}"),
            ("queues/%2F/%ff", "{}"),
            ("exchanges/%2F/x", "{}"),
            ("exchanges/%2F/x", '{"type": "odd"}'),
            ("exchanges/%2F/amq.default", '{"type": "direct"}'),
            ("users/ada", '{"password": "x"}'),
            ("users/ada", '{"password": "", "tags": ""}'),
            ("users/ada", '{"password_hash": "x", "tags": ""}'),
            ("permissions/%2F/guest", '{"configure": "(", "write": "", "read": ""}'),
            ("vhost-limits/%2F/max-fun", '{"value": 1}'),
            ("user-limits/guest/max-channels", '{"value": "many"}'),
        ],
    )
    def test_bad_input_is_said_to_be(self, broker: HttpBroker, path: str, content: str) -> None:
        head = (
            f"PUT /api/{path} HTTP/1.1\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        reply = parse_reply(broker.send((head + content).encode()))
        # What is not allowed at all is refused as on AMQP.
        assert reply.status == (401 if "amq." in path else 400)
        assert reply.json["reason"]

    def test_a_body_that_is_too_large(self, tmp_path: Any) -> None:
        broker = HttpBroker(tmp_path, HttpConfig(body_size_max=10))
        assert broker.call("PUT", "queues/%2F/q", {"durable": True}).status == 413
        assert broker.call("PUT", "queues/%2F/q", {}).status == 201
        broker.stop()

    def test_head_has_no_body(self, broker: HttpBroker) -> None:
        reply = broker.call("HEAD", "whoami")
        assert (reply.status, reply.content) == (200, b"")

    def test_a_change_is_answered_when_it_is_durable(self, broker: HttpBroker) -> None:
        broker.disk.held = True
        channel, wire = broker.open()
        channel.dataReceived(
            b"PUT /api/queues/%2F/q HTTP/1.1\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n"
        )
        assert not wire.value()
        broker.disk.release()
        broker.clock.advance(0)
        assert parse_reply(wire.value()).status == 201

    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_many_requests_at_once_leave_others_their_turn(
        self, broker: HttpBroker, monkeypatch: pytest.MonkeyPatch, method: bytes
    ) -> None:
        asked: list[Request] = []
        answer = Api.answer

        def note(api: Api, request: Request, respond: Callable[[Response], None]) -> None:
            asked.append(request)
            answer(api, request, respond)

        monkeypatch.setattr(Api, "answer", note)
        channel, wire = broker.open()
        channel.dataReceived(3 * (method + b" /api/whoami HTTP/1.1\r\nContent-Length: 0\r\n\r\n"))
        assert len(asked) == 1
        broker.clock.advance(0)
        assert len(asked) == wire.value().count(b"HTTP/1.1 40") == 3

    def test_a_peer_that_does_not_wait(self, broker: HttpBroker) -> None:
        broker.disk.held = True
        channel, wire = broker.open()
        channel.dataReceived(
            b"PUT /api/queues/%2F/q HTTP/1.1\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n"
        )
        channel.connectionLost(Failure(ConnectionError()))
        broker.disk.release()
        assert not wire.value()

    def test_the_stop_hangs_up(self, broker: HttpBroker) -> None:
        _, wire = broker.open()
        broker.http.stop()
        assert wire.disconnecting

    def test_nothing_listens_when_it_is_switched_off(self, broker: HttpBroker) -> None:
        off = type(broker.http)(broker.gateway, HttpConfig(enabled=False), broker.clock)
        assert not off.listeners()


class TestLists:
    @pytest.fixture(autouse=True)
    def _queues(self, broker: HttpBroker) -> None:
        for name, count in (("b", 2), ("a", 1), ("c", 3)):
            broker.virtual_host.declare_queue(QueueDeclaration(name))
            for _ in range(count):
                body = {"routing_key": name, "payload": "x", "properties": {}}
                broker.call("POST", "exchanges/%2F/amq.default/publish", body)

    def names(self, rows: list[dict[str, Any]]) -> str:
        return "".join(row["name"] for row in rows)

    def test_sorted(self, broker: HttpBroker) -> None:
        assert self.names(broker.get("queues?sort=name")) == "abc"
        assert self.names(broker.get("queues?sort=messages&sort_reverse=true")) == "cba"

    def test_columns(self, broker: HttpBroker) -> None:
        rows = broker.get("queues/%2F?columns=name,messages,arguments.x&sort=name")
        assert rows[0] == {"name": "a", "messages": 1}
        broker.get("queues/%2F?columns=name,name.x,name")

    def test_pages(self, broker: HttpBroker) -> None:
        page = broker.get("queues?page=2&page_size=2&sort=name")
        assert self.names(page.pop("items")) == "c"
        assert page == {
            "page": 2, "page_size": 2, "page_count": 2,
            "item_count": 1, "filtered_count": 3, "total_count": 3,
        }  # fmt: skip
        assert broker.get("queues?page=1&name=^[ab]&use_regex=true")["filtered_count"] == 2
        assert broker.get("queues?page=1&name=B")["filtered_count"] == 1
        for query in ("page=0", "page=9", "page=x", "page=1&page_size=501", "page=²"):
            assert broker.call("GET", f"queues?{query}".encode().decode("latin-1")).status == 400
        assert broker.call("GET", "queues?page=1&use_regex=true&name=(").status == 400


class TestTopology:
    def test_the_life_of_a_queue(self, broker: HttpBroker) -> None:
        assert broker.call("PUT", "queues/%2F/q", {"arguments": {"x-max-length": 5}}).status == 201
        assert broker.call("PUT", "queues/%2F/q", {"arguments": {"x-max-length": 5}}).status == 204
        reply = broker.call("PUT", "queues/%2F/q", {"durable": "false"})
        assert reply.json["reason"].startswith("inequivalent arg 'durable' for queue 'q'")
        queue = broker.get("queues/%2F/q")
        arguments = {"x-max-length": 5, "x-queue-type": "classic"}
        assert (queue["durable"], queue["arguments"]) == (True, arguments)
        assert broker.call("DELETE", "queues/%2F/q?if-empty=true").status == 204
        assert broker.call("DELETE", "queues/%2F/q").status == 404

    @pytest.mark.parametrize("first", [{}, {"x-queue-type": "classic"}])
    def test_a_queue_shows_its_type(self, broker: HttpBroker, first: dict[str, Any]) -> None:
        """Whether it was named or not; either way it is the same queue."""
        broker.connect().declare("q", durable=True, arguments=first)
        broker.connect().declare("mine", exclusive=True, arguments=first)
        for queue in broker.get("queues"):
            assert queue["arguments"] == {"x-queue-type": "classic"}
        broker.restart()
        assert broker.get("queues/%2F/q")["arguments"] == {"x-queue-type": "classic"}
        for arguments in ({}, {"x-queue-type": "classic"}):
            assert broker.call("PUT", "queues/%2F/q", {"arguments": arguments}).status == 204
            broker.connect().declare("q", durable=True, arguments=arguments)

    def test_bindings(self, broker: HttpBroker) -> None:
        broker.call("PUT", "queues/%2F/q", {})
        assert broker.call("PUT", "exchanges/%2F/x", {"type": "topic"}).status == 201
        path = "bindings/%2F/e/x/q/q"
        reply = broker.call("POST", path, {"routing_key": "a~b c", "arguments": {"n": [1]}})
        assert reply.status == 201
        broker.call("POST", path, {"routing_key": "key"})
        broker.call("POST", path, {})
        broker.call("POST", "bindings/%2F/e/x/e/amq.fanout", {})
        first, second, third = broker.get(path)
        assert reply.headers["location"].partition("/")[0] == "q"
        assert first["properties_key"].startswith("a%7Eb+c~")
        assert first["arguments"] == {"n": [1]}
        assert (second["properties_key"], third["properties_key"]) == ("key", "~")
        assert len(broker.get("exchanges/%2F/x/bindings/source")) == 4
        assert len(broker.get("exchanges/%2F/amq.fanout/bindings/destination")) == 1
        assert len(broker.get("queues/%2F/q/bindings")) == 4, "and that of the default exchange"
        assert len(broker.get("bindings")) == 5
        one = first["properties_key"].replace("%", "%25")
        assert broker.get(f"{path}/{one}")["routing_key"] == "a~b c"
        for key in (one, "key", "~"):
            assert broker.call("DELETE", f"{path}/{key}").status == 204
            assert broker.call("DELETE", f"{path}/{key}").status == 404
        assert broker.call("DELETE", "exchanges/%2F/x?if-unused=true").status == 400
        assert broker.call("DELETE", "exchanges/%2F/x").status == 204


class TestMessages:
    def test_there_and_back(self, broker: HttpBroker) -> None:
        broker.call("PUT", "queues/%2F/q", {})
        properties = {"delivery_mode": 2, "headers": {"a": [1, {"b": None}]}, "priority": 3}
        body = {"routing_key": "q", "payload": "/w==", "payload_encoding": "base64"}
        publish = "exchanges/%2F/amq.default/publish"
        reply = broker.call("POST", publish, {**body, "properties": properties})
        assert reply.json == {"routed": True}
        nowhere = {"routing_key": "nowhere", "payload": "x", "properties": []}
        assert broker.call("POST", publish, nowhere).json == {"routed": False}
        text = {"routing_key": "q", "payload": "é", "properties": {}}
        broker.call("POST", publish, text)
        broker.restart()
        (first,) = self.get(broker, count=1)
        assert first["properties"] == properties
        assert (first["payload"], first["payload_encoding"]) == ("/w==", "base64")
        assert (first["message_count"], first["redelivered"]) == (0, False)

    def get(self, broker: HttpBroker, **options: Any) -> Any:
        body = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto", **options}
        return broker.call("POST", "queues/%2F/q/get", body).json

    def test_getting_and_putting_back(self, broker: HttpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        for body in (b"1", b"2", b"3"):
            peer.publish("q", body)
        assert [each["payload"] for each in self.get(broker, count=2)] == ["1", "2"]
        again = self.get(broker)
        assert [each["redelivered"] for each in again] == [True, True, False]
        assert [each["message_count"] for each in again] == [2, 1, 0]
        self.get(broker, count=1, ackmode="ack_requeue_false")
        self.get(broker, count=1, ackmode="reject_requeue_false")
        assert broker.get("queues/%2F/q")["messages"] == 1
        assert self.get(broker, truncate=0)[0]["payload"] == ""
        assert broker.call("DELETE", "queues/%2F/q/contents").status == 204
        assert broker.get("queues/%2F/q")["messages"] == 0
        assert self.get(broker, count=-1)["error"] == "bad_request"

    def test_priorities(self, broker: HttpBroker) -> None:
        broker.call("PUT", "queues/%2F/q", {"arguments": {"x-max-priority": 5}})
        for priority in (1, 9, 3):
            body = {"routing_key": "q", "payload": str(priority)}
            body["properties"] = {"priority": priority}
            broker.call("POST", "exchanges/%2F/amq.default/publish", body)
        assert [each["payload"] for each in self.get(broker)] == ["9", "3", "1"]
        assert broker.get("queues/%2F/q")["messages"] == 3
        assert broker.call("DELETE", "queues/%2F/q").status == 204

    def test_a_quorum_queue(self, broker: HttpBroker) -> None:
        arguments = {"x-queue-type": "quorum"}
        created = broker.call("PUT", "queues/%2F/q", {"durable": True, "arguments": arguments})
        assert created.status == 201
        queue = broker.get("queues/%2F/q")
        assert (queue["type"], queue["arguments"]) == ("quorum", arguments)
        assert queue["members"] == queue["online"] == [queue["leader"]]
        body = {"routing_key": "q", "payload": "x", "properties": {}}
        broker.call("POST", "exchanges/%2F/amq.default/publish", body)
        assert self.get(broker)[0]["properties"] == {}
        assert self.get(broker)[0]["properties"] == {"headers": {"x-delivery-count": 1}}
        assert broker.call("DELETE", "queues/%2F/q?if-empty=true").status == 400
        broker.call("PUT", "queues/%2F/classic", {})
        assert "leader" not in broker.get("queues/%2F/classic")

    def test_amqp_reads_what_http_wrote(self, broker: HttpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        deliveries = peer.consume(no_ack=True)
        assert not deliveries
        body = {"routing_key": "q", "payload": "hi", "properties": {"content_type": "text/x"}}
        broker.call("POST", "exchanges/%2F/amq.default/publish", body)
        (delivery,) = peer.deliveries()
        assert delivery.body == b"hi"
        assert b"text/x" in delivery.properties

    def test_what_http_wrote_expires(self, broker: HttpBroker) -> None:
        broker.call("PUT", "queues/%2F/q", {"durable": True})
        for expiration in ("1000", "5000"):
            body = {"routing_key": "q", "payload": expiration}
            body["properties"] = {"expiration": expiration, "delivery_mode": 2}
            broker.call("POST", "exchanges/%2F/amq.default/publish", body)
        broker.clock.advance(2)
        assert [each["payload"] for each in self.get(broker)] == ["5000"]


class TestConnections:
    def test_who_is_there(self, broker: HttpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        peer.consume(tag="t", arguments={"x-priority": 3, "mine": b"\xff"})
        (connection,) = broker.get("connections")
        assert (connection["user"], connection["vhost"]) == ("guest", "/")
        assert connection["protocol"] == "AMQP 0-9-1"
        assert connection["channels"] == 1
        (channel,) = broker.get("channels")
        assert (channel["name"], channel["consumer_count"]) == (f"{connection['name']} (1)", 1)
        (consumer,) = broker.get("consumers")
        assert (consumer["consumer_tag"], consumer["queue"]["name"]) == ("t", "q")
        assert consumer["arguments"] == {"x-priority": 3, "mine": "\ufffd"}
        assert broker.get("queues/%2F/q")["consumer_details"] == [consumer]
        assert broker.get("overview")["object_totals"]["consumers"] == 1
        ada = add_user(broker, "ada", "management")
        assert broker.get("connections", **ada) == []

    def test_who_is_served(self, broker: HttpBroker) -> None:
        peer = broker.connect()
        peer.declare("alone")
        peer.declare("single", arguments={"x-single-active-consumer": True})
        peer.consume("alone", tag="a", exclusive=True)
        peer.consume("single", tag="b")
        peer.consume("single", tag="c")
        shown = ("exclusive", "active", "activity_status")
        consumers = {each["consumer_tag"]: each for each in broker.get("consumers")}
        assert {tag: [each[key] for key in shown] for tag, each in consumers.items()} == {
            "a": [True, True, "up"],
            "b": [False, True, "single_active"],
            "c": [False, False, "waiting"],
        }

    def test_closing(self, broker: HttpBroker) -> None:
        for header, reason in (
            ("", "Closed via management plugin"),
            ("X-Reason: enough\r\n", "enough"),
        ):
            peer = broker.connect()
            name = broker.get("connections")[0]["name"].replace(" ", "%20").replace(">", "%3E")
            assert broker.call("DELETE", f"connections/{name}", headers=header).status == 204
            closed = ("Connection.Close", 320, f"CONNECTION_FORCED - {reason}")
            assert peer.receive().failure == closed
            assert broker.call("DELETE", f"connections/{name}").status == 404
        peer = broker.connect()
        assert broker.call("DELETE", "connections/username/guest").status == 204
        assert peer.receive().name == "Connection.Close"


class TestAccess:
    def test_users(self, broker: HttpBroker) -> None:
        body = {"password": "x", "tags": "management, policymaker"}
        assert broker.call("PUT", "users/ada", body).status == 201
        assert broker.call("PUT", "users/ada", body).status == 204
        user = broker.get("users/ada")
        assert user["tags"] == ["management", "policymaker"]
        copy = {"password_hash": user["password_hash"], "tags": [],
                "hashing_algorithm": user["hashing_algorithm"]}  # fmt: skip
        assert broker.call("PUT", "users/bob", copy).status == 201
        assert broker.gateway.login("bob", "x", "192.0.2.1") == "bob"
        assert [each["name"] for each in broker.get("users/without-permissions")] == ["ada", "bob"]
        assert broker.call("POST", "users/bulk-delete", {"users": ["bob", "eve"]}).status == 204
        assert broker.call("DELETE", "users/ada").status == 204
        assert [each["name"] for each in broker.get("users")] == ["guest"]

    def test_permissions(self, broker: HttpBroker) -> None:
        add_user(broker, "ada")
        body = {"configure": "c", "write": "w", "read": "r"}
        assert broker.call("GET", "permissions/%2F/ada").status == 404
        assert broker.call("PUT", "permissions/%2F/ada", body).status == 201
        assert broker.get("permissions/%2F/ada") == {"user": "ada", "vhost": "/", **body}
        assert len(broker.get("permissions")) == len(broker.get("vhosts/%2F/permissions")) == 2
        assert len(broker.get("users/ada/permissions")) == 1
        assert broker.call("DELETE", "permissions/%2F/ada").status == 204
        topic = {"exchange": "amq.topic", "write": "w", "read": "r"}
        assert broker.call("PUT", "topic-permissions/%2F/ada", topic).status == 201
        assert broker.get("topic-permissions/%2F/ada") == [{"user": "ada", "vhost": "/", **topic}]
        assert broker.call("DELETE", "topic-permissions/%2F/ada").status == 204
        assert broker.call("DELETE", "topic-permissions/%2F/ada").status == 404

    def test_virtual_hosts(self, broker: HttpBroker) -> None:
        assert broker.call("PUT", "vhosts/shop", {"description": "d", "tags": "a,b"}).status == 201
        assert broker.call("PUT", "vhosts/shop").status == 204
        assert broker.get("vhosts/shop")["cluster_state"]
        assert broker.call("PUT", "queues/shop/q", {}).status == 201, "its maker may do all there"
        assert broker.get("aliveness-test/shop") == {"status": "ok"}
        assert broker.call("DELETE", "vhosts/shop").status == 204
        assert broker.call("DELETE", "vhosts/%2F").status == 400

    def test_limits(self, broker: HttpBroker) -> None:
        path = "vhost-limits/%2F/max-queues"
        assert broker.call("PUT", path, {"value": 0}).status == 204
        assert broker.get("vhost-limits") == [{"vhost": "/", "value": {"max-queues": 0}}]
        assert "queue limit" in broker.call("PUT", "queues/%2F/q", {}).json["reason"]
        assert broker.call("DELETE", path).status == 204
        path = "user-limits/guest/max-channels"
        assert broker.call("PUT", path, {"value": 5}).status == 204
        assert broker.get("user-limits/guest") == [{"user": "guest", "value": {"max-channels": 5}}]
        assert broker.call("DELETE", path).status == 204
        assert broker.get("user-limits") == []


class TestDefinitions:
    def test_there_and_back(self, broker: HttpBroker, tmp_path: Any) -> None:
        add_user(broker, "ada", "management")
        broker.call("PUT", "vhosts/shop", {"description": "d"})
        broker.call("PUT", "vhost-limits/shop/max-queues", {"value": 9})
        broker.call("PUT", "queues/shop/q", {"arguments": {"x-max-length": 5}})
        broker.call("PUT", "exchanges/shop/x", {"type": "headers"})
        bound = {"routing_key": "k", "arguments": {"x-match": "any", "n": 1, "b": True}}
        broker.call("POST", "bindings/shop/e/x/q/q", bound)
        broker.call("POST", "bindings/shop/e/x/e/amq.fanout", {})
        topic = {"exchange": "amq.topic", "write": "w", "read": "r"}
        broker.call("PUT", "topic-permissions/shop/ada", topic)
        broker.connect().declare("mine", exclusive=True)
        exported = broker.get("definitions")
        assert [queue["name"] for queue in exported["queues"]] == ["q"]
        assert bound["arguments"] in [each["arguments"] for each in exported["bindings"]]
        other = HttpBroker(tmp_path / "other")
        for _ in range(2):
            assert other.call("POST", "definitions", exported).status == 204
        assert other.get("definitions") == exported
        assert other.gateway.login("ada", "x", "192.0.2.1") == "ada"
        other.stop()
        part = broker.get("definitions/shop")
        assert broker.call("POST", "definitions/%2F", part).status == 204
        arguments = {"x-max-length": 5, "x-queue-type": "classic"}
        assert broker.get("queues/%2F/q")["arguments"] == arguments

    def test_queues_keep_their_type(self, broker: HttpBroker, tmp_path: Any) -> None:
        """Where the virtual host has come to give another one to who names none."""
        broker.call("PUT", "vhosts/shop", {})
        broker.call("PUT", "queues/shop/before", {})
        broker.call("PUT", "vhosts/shop", {"default_queue_type": "quorum"})
        broker.call("PUT", "queues/shop/after", {})
        exported = broker.get("definitions")
        types = {each["name"]: each["arguments"]["x-queue-type"] for each in exported["queues"]}
        assert types == {"before": "classic", "after": "quorum"}
        other = HttpBroker(tmp_path / "other")
        for peer in (broker, other):
            assert peer.call("POST", "definitions", exported).status == 204
            assert peer.get("definitions") == exported
        other.stop()

    def test_what_was_named_by_a_server(self, broker: HttpBroker) -> None:
        """RabbitMQ exports such queues; nobody may declare one."""
        queue = {"name": "amq.gen-1", "vhost": "/", "durable": True, "arguments": {}}
        assert broker.call("POST", "definitions", {"queues": [queue]}).status == 204
        assert broker.get("queues/%2F/amq.gen-1")["durable"]
        assert broker.call("PUT", "queues/%2F/amq.gen-2", {}).status == 401

    @pytest.mark.parametrize(
        "document",
        [
            [],
            {"users": 1},
            {"users": [{}]},
            {"vhosts": [{}]},
            {"queues": [{"name": "q", "vhost": "nowhere"}]},
            {"permissions": [{"user": "u", "vhost": "no", "configure": "", "write": "",
                              "read": ""}]},
            {"exchanges": [{"name": "x", "type": "odd", "vhost": "/"}]},
            {"bindings": [{"source": "x", "destination": "q", "destination_type": "queue",
                           "vhost": "/"}]},
            {"parameters": [{"component": "vhost-limits", "vhost": "/",
                             "value": {"max-queues": ""}}]},
        ],
    )  # fmt: skip
    def test_a_document_that_is_none(self, broker: HttpBroker, document: Any) -> None:
        reply = broker.call("POST", "definitions", document)
        assert (reply.status, reply.json["error"]) == (400, "bad_request")


def test_health(broker: HttpBroker) -> None:
    broker.gateway.addresses = {"amqp": ("127.0.0.1", 5672)}
    for check in ("alarms", "virtual-hosts", "port-listener/5672", "protocol-listener/amqp091"):
        assert broker.get(f"health/checks/{check}")["status"] == "ok"
    assert broker.call("GET", "health/checks/port-listener/1").status == 503
    assert broker.call("GET", "health/checks/protocol-listener/mqtt").status == 503
    assert broker.get("overview")["listeners"][0]["port"] == 5672


@pytest.mark.parametrize(
    ("listener", "asks", "enabled"),
    [("amqps", True, True), ("amqps", False, False), ("amqp", True, False)],
)
def test_how_amqp_clients_may_log_in(
    broker: HttpBroker, listener: str, asks: bool, enabled: bool
) -> None:
    """EXTERNAL is for TLS listeners that ask for a certificate."""
    broker.gateway.addresses = {listener: ("127.0.0.1", 5671)}
    broker.gateway.asks_for_certificates = asks
    mechanisms = broker.get("nodes")[0]["auth_mechanisms"]
    assert {each["name"]: each["enabled"] for each in mechanisms} == {
        "PLAIN": True, "AMQPLAIN": True, "EXTERNAL": enabled
    }  # fmt: skip


def test_an_exclusive_queue_is_seen_and_locked(broker: HttpBroker) -> None:
    peer = broker.connect()
    peer.call(commands.Queue.Declare(queue="mine", exclusive=True))
    assert broker.get("queues/%2F/mine")["exclusive"]
    assert "exclusive access" in broker.call("DELETE", "queues/%2F/mine").json["reason"]
