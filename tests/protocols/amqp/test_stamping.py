"""What a queue adds to headers is spliced in; all other octets stay."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Envelope, Header, Value
from gateway.values import Long
from protocols.amqp.codec import decode_properties, encode_properties, locate_properties
from protocols.amqp.language import AmqpLanguage
from protocols.amqp.stamping import stamp
from tests.support.amqp_peer import NO_PROPERTIES, PERSISTENT, AmqpBroker

STAMP: dict[str, Value] = {"x-at": Long(7)}
ADDED = b"\x04x-atl" + bytes(7) + b"\x07"
FIELDS = {
    "content_type": "t",
    "content_encoding": "e",
    "delivery_mode": 2,
    "priority": 3,
    "correlation_id": "c",
    "timestamp": 9,
    "app_id": "a",
}


def splice_headers(raw: bytes, more: dict[str, Value]) -> bytes:
    header = Header(AmqpLanguage(), raw, False)
    return stamp((Envelope("", ""), header, b""), more)[1].raw


def test_without_headers_they_get_a_table() -> None:
    assert splice_headers(NO_PROPERTIES, STAMP) == b"\x20\0" + b"\0\0\0\x0e" + ADDED
    assert splice_headers(PERSISTENT, STAMP) == b"\x30\0" + b"\0\0\0\x0e" + ADDED + b"\x02"


def test_a_publisher_s_field_of_that_name_gives_way() -> None:
    raw = encode_properties({"headers": {"x-at": "mine", "n": Long(1), "x-at2": True}})
    assert decode_properties(splice_headers(raw, STAMP)) == {
        "headers": {"n": 1, "x-at2": True, "x-at": 7}
    }


def test_what_cannot_be_read_is_left_alone() -> None:
    broken = b"\x20\0\0\0\0\x09\x02no"
    assert splice_headers(broken, STAMP) == broken


@given(
    names=st.sets(st.sampled_from(sorted(FIELDS))),
    headers=st.none() | st.dictionaries(st.text(max_size=9), st.integers() | st.text() | st.none()),
)
def test_everything_else_keeps_its_octets(names: set[str], headers: dict[str, Any] | None) -> None:
    raw = encode_properties({**{name: FIELDS[name] for name in names}, "headers": headers})
    spliced = splice_headers(raw, STAMP)
    assert decode_properties(spliced)["headers"].pop("x-at") == 7
    before, after = locate_properties(raw), locate_properties(spliced)
    assert after.keys() == {*before, "headers"}
    for name in names:
        assert spliced[after[name]] == raw[before[name]]
    table = raw[before["headers"]][4:] if headers is not None else b""
    assert spliced[after["headers"]][4:] == table + ADDED


def test_deliveries_and_basic_get_show_it(broker: AmqpBroker) -> None:
    peer = broker.connect()
    peer.declare("q")
    queue = broker.virtual_host.queues["q"]
    queue.stamp = lambda offset: {"x-at": Long(offset)} if offset else {}
    raw = b"\x20\0\0\0\0\x05\x01ns\0\x05"  # A short: no decoded number would stay one.
    peer.publish("q", b"body", raw)
    assert peer.get(no_ack=True).properties == raw
    peer.publish("q", b"body", raw)
    peer.publish("q", b"body", raw)
    assert [delivery.properties for delivery in peer.consume("q")] == [
        b"\x20\0\0\0\0\x13\x01ns\0\x05\x04x-atl" + offset.to_bytes(8, "big") for offset in (1, 2)
    ]
