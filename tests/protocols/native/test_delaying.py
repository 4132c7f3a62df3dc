"""Delay levels and timer messages, as RocketMQ's clients send them."""

from __future__ import annotations

import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from gateway.errors import PreconditionFailedError
from protocols.native.delaying import find_schedule, level_s
from rosettamq.message import Message, property_string
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.properties import decode_properties, encode_properties
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records

PULL = RequestCode.PULL_MESSAGE


def send(peer: Peer, body: bytes, **texts: str) -> None:
    peer.publish("T", body, encode_properties(texts).decode())


def pulled(peer: Peer, offset: int = 0) -> list[bytes]:
    return bodies(peer.call(PULL, pull_header("G", "T", offset)))


@pytest.mark.parametrize(
    ("texts", "delay_s"),
    [
        ({"DELAY": "1"}, 1),
        ({"DELAY": "3", "TIMER_DELAY_SEC": "1"}, 10),
        ({"DELAY": "0", "TIMER_DELAY_SEC": "7"}, 7),
        ({"DELAY": "18"}, 7200),
        ({"DELAY": "99"}, 7200),
        ({"TIMER_DELAY_MS": "1500"}, 1.5),
        ({"x-rosetta-delay": "250"}, 0.25),
    ],
)
def test_comes_when_it_is_time(
    broker: NativeBroker, peer: Peer, texts: dict[str, str], delay_s: float
) -> None:
    send(peer, b"late", **texts)
    send(peer, b"now")
    broker.clock.advance(delay_s - 0.1)
    assert pulled(broker.connect()) == [b"now"]
    broker.clock.advance(0.11)
    assert pulled(broker.connect(), 1) == [b"late"]


def test_comes_at_a_time(broker: NativeBroker, peer: Peer) -> None:
    send(peer, b"late", TIMER_DELIVER_MS=str(int(broker.clock.seconds() * 1000) + 4000))
    send(peer, b"now")
    broker.clock.advance(3.9)
    assert pulled(peer) == [b"now"]
    broker.clock.advance(0.11)
    assert pulled(peer, 1) == [b"late"]


def test_what_delayed_it_is_gone(broker: NativeBroker, peer: Peer) -> None:
    send(peer, b"x", DELAY="1", UNIQ_KEY="ID", TAGS="a", mine="y")
    broker.clock.advance(1)
    (record,) = records(peer.call(PULL, pull_header("G", "T", 0)))
    assert decode_properties(record.properties) == {"UNIQ_KEY": "ID", "TAGS": "a", "mine": "y"}
    assert record.body == b"x"


def test_a_time_that_is_past_is_now(broker: NativeBroker, peer: Peer) -> None:
    broker.clock.advance(10)
    send(peer, b"x", TIMER_DELIVER_MS="1")
    broker.clock.advance(0)
    assert pulled(peer) == [b"x"]


def test_the_tag_routes_at_an_exchange(broker: NativeBroker, peer: Peer) -> None:
    host = broker.virtual_host
    host.declare_exchange(ExchangeDeclaration("T", "direct"))
    host.declare_queue(QueueDeclaration("q"))
    host.bind(QueueBinding("q", "T", "a"))
    send(peer, b"x", DELAY="1", TAGS="a")
    broker.clock.advance(1)
    assert [delivery.message[2] for delivery in host.queues["q"].take(9)] == [b"x"]


def test_levels_are_rocketmqs() -> None:
    table = [level_s(level) for level in range(1, 19)]
    minutes = [60 * number for number in range(1, 11)]
    assert table == [1, 5, 10, 30, *minutes, 1200, 1800, 3600, 7200]


@pytest.mark.parametrize(
    "texts",
    [{"DELAY": "x"}, {"DELAY": "-1"}, {"TIMER_DELAY_SEC": "1.5"}, {"TIMER_DELAY_SEC": "9" * 12}],
)
def test_what_is_no_time(texts: dict[str, str]) -> None:
    with pytest.raises(PreconditionFailedError):
        find_schedule(texts)


def test_the_sdk_says_it_so() -> None:
    message = Message("T", b"")
    message.delay_level = 3
    message.delay_ms = 1500
    message.deliver_at_ms = 4000
    texts = decode_properties(property_string(message, "ID"))
    assert texts == {
        "DELAY": "3", "TIMER_DELAY_MS": "1500", "TIMER_DELIVER_MS": "4000", "UNIQ_KEY": "ID",
    }  # fmt: skip
    assert (message.delay_level, message.delay_ms, message.deliver_at_ms) == (3, 1500, 4000)
    message.delay_level = message.delay_ms = message.deliver_at_ms = None
    assert message.properties == {}
