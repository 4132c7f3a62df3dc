"""What waits for its time, as the API shows it."""

from __future__ import annotations

import re

import pytest
from pamqp import commands

from protocols.amqp.codec import encode_properties
from tests.support.amqp_peer import AmqpPeer
from tests.support.http_peer import HttpBroker


@pytest.fixture
def peer(broker: HttpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("q", durable=True)
    return peer


def delay(peer: AmqpPeer, body: bytes, delay_ms: int) -> None:
    headers = {"x-rosetta-delay": delay_ms, "n": 1}
    peer.publish("q", body, encode_properties({"headers": headers}))


def test_listed_by_time_page_by_page(broker: HttpBroker, peer: AmqpPeer) -> None:
    for delay_ms in (3000, 1000, 2000):
        delay(peer, b"x" * delay_ms, delay_ms)
    first = broker.get("delayed/%2F?count=2")
    now_ms = int(broker.clock.seconds() * 1000)
    assert [item["deliver_at"] - now_ms for item in first["items"]] == [1000, 2000]
    assert first["total_count"] == 3
    item = first["items"][0]
    assert re.fullmatch(rf"{now_ms + 1000}-\d+", item.pop("id"))
    assert item == {
        "deliver_at": now_ms + 1000,
        "exchange": "",
        "routing_key": "q",
        "payload_bytes": 1000,
        "properties": {"headers": {"x-rosetta-delay": 1000, "n": 1}},
    }
    second = broker.get(f"delayed/%2F?after={first['next']}")
    assert [item["payload_bytes"] for item in second["items"]] == [3000]
    assert second["next"] is None


def test_cancelled(broker: HttpBroker, peer: AmqpPeer) -> None:
    delay(peer, b"a", 1000)
    delay(peer, b"b", 2000)
    id = broker.get("delayed/%2F")["items"][0]["id"]
    assert broker.call("DELETE", f"delayed/%2F/{id}").status == 204
    assert broker.call("DELETE", f"delayed/%2F/{id}").status == 404
    broker.clock.advance(3)
    assert peer.get("q").body == b"b"
    assert peer.get("q").name == "Basic.GetEmpty"


def test_who_may_not_publish_may_not_cancel(broker: HttpBroker, peer: AmqpPeer) -> None:
    delay(peer, b"a", 1000)
    id = broker.get("delayed/%2F")["items"][0]["id"]
    broker.gateway.users.put("reader", password="x", tags=["management"])
    permission = {"configure": ".*", "write": "", "read": ".*"}
    assert broker.call("PUT", "permissions/%2F/reader", permission).status == 201
    reply = broker.call("DELETE", f"delayed/%2F/{id}", user="reader", password="x")
    assert reply.status in (401, 403)
    assert broker.get("delayed/%2F")["total_count"] == 1


@pytest.mark.parametrize(
    "path", ["delayed/%2F?count=0", "delayed/%2F?count=x", "delayed/%2F?after=x"]
)
def test_what_is_no_page(broker: HttpBroker, path: str) -> None:
    assert broker.call("GET", path).status == 400


def test_other_virtual_hosts_see_nothing_of_it(broker: HttpBroker, peer: AmqpPeer) -> None:
    delay(peer, b"a", 1000)
    assert broker.call("PUT", "vhosts/other").status == 201
    assert broker.get("delayed/other")["items"] == []
    id = broker.get("delayed/%2F")["items"][0]["id"]
    assert broker.call("DELETE", f"delayed/other/{id}").status == 404
    assert broker.call("GET", "delayed/nowhere").status == 404


def test_they_go_with_their_virtual_host(broker: HttpBroker) -> None:
    assert broker.call("PUT", "vhosts/other").status == 201
    body = {"routing_key": "q", "payload": "x", "properties": {"headers": {"x-rosetta-delay": 9}}}
    assert broker.call("POST", "exchanges/other/amq.default/publish", body).status == 200
    assert broker.get("delayed/other")["total_count"] == 1
    assert broker.call("DELETE", "vhosts/other").status == 204
    assert not broker.gateway.broker.documents("timer_owner")


def test_messages_delayed_of_an_exchange(broker: HttpBroker, peer: AmqpPeer) -> None:
    peer.call(commands.Exchange.Declare(
        exchange="late", exchange_type="x-delayed-message", arguments={"x-delayed-type": "fanout"}
    ))  # fmt: skip
    assert broker.get("exchanges/%2F/late")["messages_delayed"] == 0
    body = {"routing_key": "k", "payload": "x", "properties": {"headers": {"x-delay": 5000}}}
    reply = broker.call("POST", "exchanges/%2F/late/publish", body)
    assert reply.json == {"routed": False}
    assert broker.get("exchanges/%2F/late")["messages_delayed"] == 1
    assert "messages_delayed" not in broker.get("exchanges/%2F/amq.direct")
    broker.clock.advance(5)
    assert broker.get("exchanges/%2F/late")["messages_delayed"] == 0


def test_one_that_came_through_the_api_has_its_delay_negated(
    broker: HttpBroker, peer: AmqpPeer
) -> None:
    body = {"routing_key": "q", "payload": "x", "properties": {"headers": {"x-rosetta-delay": 50}}}
    assert broker.call("POST", "exchanges/%2F/amq.default/publish", body).status == 200
    broker.clock.advance(1)
    get = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    (message,) = broker.call("POST", "queues/%2F/q/get", get).json
    assert message["properties"]["headers"] == {"x-rosetta-delay": -50}
