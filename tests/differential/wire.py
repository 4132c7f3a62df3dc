"""AMQP 0-9-1 for the differential tests: the methods as one table, both ways.

Written on its own, not with the codec under test nor with pamqp, so that any bytes can be said and
nothing that arrives is smoothed over.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"

# name: class, method, fields. Types: s short string, S long string, t table, b bit (packed with
# its neighbours), B H I Q unsigned integers.
METHODS: dict[str, tuple[int, int, str]] = {
    "connection.start": (10, 10, "major:B minor:B properties:t mechanisms:S locales:S"),
    "connection.start-ok": (10, 11, "properties:t mechanism:s response:S locale:s"),
    "connection.tune": (10, 30, "channel_max:H frame_max:I heartbeat:H"),
    "connection.tune-ok": (10, 31, "channel_max:H frame_max:I heartbeat:H"),
    "connection.open": (10, 40, "virtual_host:s capabilities:s insist:b"),
    "connection.open-ok": (10, 41, "known_hosts:s"),
    "connection.close": (10, 50, "code:H text:s class_id:H method_id:H"),
    "connection.close-ok": (10, 51, ""),
    "connection.update-secret": (10, 70, "secret:S reason:s"),
    "connection.update-secret-ok": (10, 71, ""),
    "channel.open": (20, 10, "out_of_band:s"),
    "channel.open-ok": (20, 11, "channel_id:S"),
    "channel.flow": (20, 20, "active:b"),
    "channel.flow-ok": (20, 21, "active:b"),
    "channel.close": (20, 40, "code:H text:s class_id:H method_id:H"),
    "channel.close-ok": (20, 41, ""),
    "access.request": (30, 10, "realm:s exclusive:b passive:b active:b write:b read:b"),
    "access.request-ok": (30, 11, "ticket:H"),
    "exchange.declare": (
        40,
        10,
        "ticket:H exchange:s type:s passive:b durable:b auto_delete:b internal:b nowait:b"
        " arguments:t",
    ),
    "exchange.declare-ok": (40, 11, ""),
    "exchange.delete": (40, 20, "ticket:H exchange:s if_unused:b nowait:b"),
    "exchange.delete-ok": (40, 21, ""),
    "exchange.bind": (
        40,
        30,
        "ticket:H destination:s source:s routing_key:s nowait:b arguments:t",
    ),
    "exchange.bind-ok": (40, 31, ""),
    "exchange.unbind": (
        40,
        40,
        "ticket:H destination:s source:s routing_key:s nowait:b arguments:t",
    ),
    "exchange.unbind-ok": (40, 51, ""),
    "queue.declare": (
        50,
        10,
        "ticket:H queue:s passive:b durable:b exclusive:b auto_delete:b nowait:b arguments:t",
    ),
    "queue.declare-ok": (50, 11, "queue:s message_count:I consumer_count:I"),
    "queue.bind": (50, 20, "ticket:H queue:s exchange:s routing_key:s nowait:b arguments:t"),
    "queue.bind-ok": (50, 21, ""),
    "queue.unbind": (50, 50, "ticket:H queue:s exchange:s routing_key:s arguments:t"),
    "queue.unbind-ok": (50, 51, ""),
    "queue.purge": (50, 30, "ticket:H queue:s nowait:b"),
    "queue.purge-ok": (50, 31, "message_count:I"),
    "queue.delete": (50, 40, "ticket:H queue:s if_unused:b if_empty:b nowait:b"),
    "queue.delete-ok": (50, 41, "message_count:I"),
    "basic.qos": (60, 10, "prefetch_size:I prefetch_count:H global:b"),
    "basic.qos-ok": (60, 11, ""),
    "basic.consume": (
        60,
        20,
        "ticket:H queue:s consumer_tag:s no_local:b no_ack:b exclusive:b nowait:b arguments:t",
    ),
    "basic.consume-ok": (60, 21, "consumer_tag:s"),
    "basic.cancel": (60, 30, "consumer_tag:s nowait:b"),
    "basic.cancel-ok": (60, 31, "consumer_tag:s"),
    "basic.publish": (60, 40, "ticket:H exchange:s routing_key:s mandatory:b immediate:b"),
    "basic.return": (60, 50, "code:H text:s exchange:s routing_key:s"),
    "basic.deliver": (
        60,
        60,
        "consumer_tag:s delivery_tag:Q redelivered:b exchange:s routing_key:s",
    ),
    "basic.get": (60, 70, "ticket:H queue:s no_ack:b"),
    "basic.get-ok": (
        60,
        71,
        "delivery_tag:Q redelivered:b exchange:s routing_key:s message_count:I",
    ),
    "basic.get-empty": (60, 72, "cluster_id:s"),
    "basic.ack": (60, 80, "delivery_tag:Q multiple:b"),
    "basic.reject": (60, 90, "delivery_tag:Q requeue:b"),
    "basic.recover-async": (60, 100, "requeue:b"),
    "basic.recover": (60, 110, "requeue:b"),
    "basic.recover-ok": (60, 111, ""),
    "basic.nack": (60, 120, "delivery_tag:Q multiple:b requeue:b"),
    "tx.select": (90, 10, ""),
    "tx.select-ok": (90, 11, ""),
    "tx.commit": (90, 20, ""),
    "tx.commit-ok": (90, 21, ""),
    "tx.rollback": (90, 30, ""),
    "tx.rollback-ok": (90, 31, ""),
    "confirm.select": (85, 10, "nowait:b"),
    "confirm.select-ok": (85, 11, ""),
}
_NAMES = {(class_id, id): name for name, (class_id, id, _) in METHODS.items()}
CONTENT_METHODS = ("basic.deliver", "basic.get-ok", "basic.return")

_DEFAULTS: dict[str, Any] = {"s": "", "S": b"", "t": (), "b": False}

# A field value is a pair of its type letter (AMQP 0-9-1, 4.2.5.5, as RabbitMQ has it) and itself.
Field = tuple[str, Any]
Table = tuple[tuple[str, Field], ...]

_NUMBERS = {
    "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "T": ">Q",
    "f": ">f", "d": ">d",
}  # fmt: skip


def short(text: str | bytes) -> bytes:
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return bytes((len(data),)) + data


def long(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def encode_field(field: Field) -> bytes:
    letter, value = field
    if letter == "t":
        data = bytes((value,))
    elif letter in _NUMBERS:
        data = struct.pack(_NUMBERS[letter], value)
    elif letter == "D":
        data = struct.pack(">Bi", *value)
    elif letter == "S":
        data = long(value.encode() if isinstance(value, str) else value)
    elif letter == "x":
        data = long(value)
    elif letter == "A":
        data = long(b"".join(map(encode_field, value)))
    elif letter == "F":
        data = encode_table(value)
    else:
        assert letter == "V"
        data = b""
    return letter.encode() + data


def encode_table(table: Table) -> bytes:
    return long(b"".join(short(name) + encode_field(field) for name, field in table))


def frame(type: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", type, channel, len(payload)) + payload + END


def method(channel: int, name: str, /, **values: Any) -> bytes:
    """A method frame; what is not given is empty, zero or false."""
    class_id, id, _ = METHODS[name]
    payload = [struct.pack(">HH", class_id, id)]
    bits: list[bool] = []
    for field, type in _fields(name):
        value = values.pop(field, _DEFAULTS.get(type, 0))
        if type == "b":
            bits.append(bool(value))
            continue
        payload.append(_pack_bits(bits))
        if type == "s":
            payload.append(short(value))
        elif type == "S":
            payload.append(long(value))
        elif type == "t":
            payload.append(encode_table(value))
        else:
            payload.append(struct.pack(">" + type, value))
    payload.append(_pack_bits(bits))
    assert not values, f"{name} has no {', '.join(values)}"
    return frame(METHOD, channel, b"".join(payload))


def decode_method(payload: bytes) -> tuple[str, dict[str, Any]]:
    """The name and the fields of a method that a server sends; tables stay as they are."""
    name = _NAMES[struct.unpack_from(">HH", payload)]
    position, bit = 4, 0
    values: dict[str, Any] = {}
    for field, type in _fields(name):
        if type == "b":
            values[field] = bool(payload[position] >> bit & 1)
            bit += 1
            continue
        position += bit > 0
        bit = 0
        if type in "sSt":
            width = 1 if type == "s" else 4
            start = position + width
            position = start + int.from_bytes(payload[position:start], "big")
            data = payload[start:position]
            values[field] = data.decode("utf-8", "surrogateescape") if type == "s" else data
        else:
            (values[field],) = struct.unpack_from(">" + type, payload, position)
            position += struct.calcsize(">" + type)
    return name, values


# The properties of the class basic, in the order of their flags from the highest bit down.
PROPERTIES: Mapping[str, str] = {
    "content_type": "s", "content_encoding": "s", "headers": "t", "delivery_mode": "B",
    "priority": "B", "correlation_id": "s", "reply_to": "s", "expiration": "s",
    "message_id": "s", "timestamp": "Q", "type": "s", "user_id": "s", "app_id": "s",
    "cluster_id": "s",
}  # fmt: skip


def encode_properties(properties: Mapping[str, Any]) -> bytes:
    """Flags, then the properties that are given."""
    flags = 0
    data = []
    for index, (name, type) in enumerate(PROPERTIES.items()):
        if name not in properties:
            continue
        flags |= 1 << 15 - index
        value = properties[name]
        if type == "s":
            data.append(short(value))
        elif type == "t":
            data.append(encode_table(value))
        else:
            data.append(struct.pack(">" + type, value))
    return flags.to_bytes(2, "big") + b"".join(data)


def decode_properties(octets: bytes) -> dict[str, Any]:
    """The properties that are given; a table stays as it is, without its size."""
    flags = int.from_bytes(octets[:2], "big")
    position = 2
    values: dict[str, Any] = {}
    for index, (name, type) in enumerate(PROPERTIES.items()):
        if not flags & 1 << 15 - index:
            continue
        if type in "st":
            width = 1 if type == "s" else 4
            start = position + width
            position = start + int.from_bytes(octets[position:start], "big")
            values[name] = octets[start:position]
        else:
            (values[name],) = struct.unpack_from(">" + type, octets, position)
            position += struct.calcsize(">" + type)
    return values


def decode_texts(table: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a table in which all values are long strings."""
    fields, position = [], 0
    while position < len(table):
        start = position + 1
        position = start + table[position]
        name = table[start:position]
        assert table[position : position + 1] == b"S", f"{name!r} is no long string"
        start = position + 5
        position = start + int.from_bytes(table[position + 1 : start], "big")
        fields.append((name, table[start:position]))
    return fields


def header(channel: int, body_size: int, properties: bytes, class_id: int = 60) -> bytes:
    payload = struct.pack(">HHQ", class_id, 0, body_size) + properties
    return frame(HEADER, channel, payload)


def bodies(channel: int, body: bytes, part_size: int) -> bytes:
    """The body in frames of at most `part_size` octets of payload."""
    parts = range(0, len(body), part_size)
    return b"".join(frame(BODY, channel, body[start : start + part_size]) for start in parts)


def _fields(name: str) -> list[tuple[str, str]]:
    return [tuple(field.split(":")) for field in METHODS[name][2].split()]


def _pack_bits(bits: list[bool]) -> bytes:
    packed = bytes((sum(bit << index for index, bit in enumerate(bits)),)) if bits else b""
    bits.clear()
    return packed
