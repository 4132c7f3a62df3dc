"""Arguments over the wire: their types are known, and known again after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from pamqp import commands

from gateway.values import Byte, Float, Long, Short, Timestamp, UnsignedByte, UnsignedInt
from protocols.amqp.fields import decode_table, encode_table
from tests.support.amqp_peer import AmqpBroker


@pytest.mark.parametrize(
    ("letter", "value", "octets"),
    [
        (b"b", Byte(-1), b"\xff"),
        (b"B", UnsignedByte(255), b"\xff"),
        (b"s", Short(-2), b"\xff\xfe"),
        (b"I", 7, b"\0\0\0\x07"),
        (b"i", UnsignedInt(1 << 31), b"\x80\0\0\0"),
        (b"l", Long(7), b"\0\0\0\0\0\0\0\x07"),
        (b"T", Timestamp(7), b"\0\0\0\0\0\0\0\x07"),
        (b"f", Float(1.5), b"\x3f\xc0\0\0"),
    ],
)
def test_a_number_is_written_as_it_was_read(letter: bytes, value: float, octets: bytes) -> None:
    fields = b"\x01n" + letter + octets
    table = len(fields).to_bytes(4, "big") + fields
    decoded = decode_table(table)[0]["n"]
    assert decoded == value
    assert type(decoded) is type(value)
    assert encode_table({"n": decoded}) == table


def test_the_type_of_an_argument_survives_a_restart(tmp_path: Path) -> None:
    broker = AmqpBroker(tmp_path)
    arguments = {"x-expires": Long(60_000), "nested": {"n": Short(1)}}
    peer = broker.connect()
    peer.method(1, commands.Queue.Declare(queue="q", durable=True, arguments=arguments))
    broker.disk.release()
    peer.lose()
    broker.restart()
    peer = broker.connect()
    assert peer.fail(commands.Queue.Declare(queue="q", durable=True))[2] == (
        "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/':"
        " received none but current is the value '60000' of type 'long'"
    )
    assert peer.declare("q", durable=True, arguments={"x-expires": 60_000}).queue == "q"


def test_a_float_is_no_integer(tmp_path: Path) -> None:
    peer = AmqpBroker(tmp_path).connect()
    peer.declare("q", arguments={"x-expires": 1000})
    assert peer.fail(commands.Queue.Declare(queue="q", arguments={"x-expires": 1000.0})) == (
        "Channel.Close",
        406,
        "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost '/':"
        " received '1000.0' but current is '1000'",
    )


def test_a_wrong_argument_closes_the_channel(tmp_path: Path) -> None:
    peer = AmqpBroker(tmp_path).connect()
    assert peer.fail(commands.Queue.Declare(queue="q", arguments={"x-max-length": Long(-1)})) == (
        "Channel.Close",
        406,
        "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q' in vhost '/':"
        " {value_negative,-1}",
    )


def test_a_queue_without_a_name_is_refused_under_the_one_that_it_would_have(
    tmp_path: Path,
) -> None:
    peer = AmqpBroker(tmp_path).connect()
    text = peer.fail(commands.Queue.Declare(queue="", arguments={"x-max-length": Long(-1)}))[2]
    assert text.startswith("PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'amq.gen-")
