"""Octets <-> frames. The framing and the fields are ours; what fields a method has, pamqp says.

    | type (1) | channel (2) | size (4) | payload (size bytes) | 0xCE |      AMQP 0-9-1, 4.2.3

pamqp refuses names that RabbitMQ allows, so the methods that a server sends with names in them are
encoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import groupby
from struct import Struct
from typing import Any, NamedTuple

from pamqp import commands, frame

from protocols.amqp.fields import (
    FieldError,
    decode_fixed,
    decode_long,
    decode_short,
    decode_table,
    encode_short,
    encode_table,
    encode_text,
)

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
PAYLOAD_SIZES_MIN = {METHOD: 4, HEADER: 12, BODY: 0, HEARTBEAT: 0}  # By type of frame.
END = b"\xce"
END_OCTET = 0xCE
FRAME_OVERHEAD = 8
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

FRAME_HEAD = Struct(">BHI")  # Type, channel, payload size.
assert FRAME_HEAD.size == 7
METHOD_ID = Struct(">HH")  # Class, method.

BASIC_CLASS = 60
PUBLISH = METHOD_ID.pack(60, 40)
DELIVER = METHOD_ID.pack(60, 60)
ACK = METHOD_ID.pack(60, 80)

ACCESS_REQUEST = METHOD_ID.pack(30, 10)

# The fields of methods that have a fixed size, by the name that pamqp gives their type.
_NUMBERS = {
    "octet": Struct(">B"),
    "short": Struct(">H"),
    "long": Struct(">I"),
    "longlong": Struct(">Q"),
}

_PROPERTIES = (
    (0x8000, "content_type"),
    (0x4000, "content_encoding"),
    (0x2000, "headers"),
    (0x1000, "delivery_mode"),
    (0x0800, "priority"),
    (0x0400, "correlation_id"),
    (0x0200, "reply_to"),
    (0x0100, "expiration"),
    (0x0080, "message_id"),
    (0x0040, "timestamp"),
    (0x0020, "type"),
    (0x0010, "user_id"),
    (0x0008, "app_id"),
    (0x0004, "cluster_id"),
)
_DELIVERY_MODE, _PRIORITY = 0x1000, 0x0800
_OCTET = Struct(">B")
_TIMESTAMP = Struct(">Q")


# How a field is read, by the name that pamqp gives its type: its value, and where it ends.
_DECODERS: Mapping[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "shortstr": decode_short,
    "longstr": decode_long,
    "table": decode_table,
    **{type: partial(decode_fixed, struct) for type, struct in _NUMBERS.items()},
}


class _Field(NamedTuple):
    """A field of a method; one without a name is an octet of bits that are fields."""

    name: str
    bits: tuple[str, ...]
    decode: Callable[[bytes, int], tuple[Any, int]]


class UnknownMethodError(FieldError):
    """There is no method of this class and number."""


class PublishFields(NamedTuple):
    """The fields of basic.publish that matter."""

    exchange: bytes
    routing_key: bytes
    mandatory: bool
    immediate: bool


def encode_frame(type: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return FRAME_HEAD.pack(type, channel, len(payload)) + payload + END


def encode_method(channel: int, class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    """A method frame with already encoded arguments."""
    return encode_frame(METHOD, channel, METHOD_ID.pack(class_id, method_id) + arguments)


def encode_command(channel: int, command: Any) -> bytes:
    """A method frame of a pamqp command."""
    return bytes(frame.marshal(command, channel))


def decode_method(data: bytes) -> Any:
    """The pamqp command in a whole method frame. Raises `FieldError`."""
    id = int.from_bytes(data[7:11], "big")
    if len(data) < 12:
        raise FieldError("a method frame without a method")
    if id not in commands.INDEX_MAPPING:
        raise UnknownMethodError(f"there is no method {id >> 16}.{id & 0xFFFF}")
    type_of_command, fields = _layout(id)
    # Not called: that would set defaults, and warn of methods that AMQP deprecates.
    command = type_of_command.__new__(type_of_command)
    arguments = data[:-1]
    position = 11
    for name, bits, decode in fields:
        value, position = decode(arguments, position)
        if name:
            setattr(command, name, value)
        for bit in bits:
            setattr(command, bit, bool(value & 1))
            value >>= 1
    return command


@cache
def _layout(id: int) -> tuple[Any, tuple[_Field, ...]]:
    """The pamqp command of a method that there is, and how its fields are read."""
    command: Any = commands.INDEX_MAPPING[id]
    fields: list[_Field] = []
    for is_bit, names in groupby(command.__slots__, lambda name: command.amqp_type(name) == "bit"):
        if is_bit:
            fields.append(_Field("", tuple(names), _DECODERS["octet"]))
        else:
            fields += [_Field(name, (), _DECODERS[command.amqp_type(name)]) for name in names]
    return command, tuple(fields)


def decode_publish(arguments: bytes) -> PublishFields:
    """The arguments of basic.publish. Raises `FieldError`."""
    try:
        exchange_end = 3 + arguments[2]
        key_end = exchange_end + 1 + arguments[exchange_end]
        bits = arguments[key_end]
    except IndexError as error:
        raise FieldError("basic.publish is cut short") from error
    exchange = arguments[3:exchange_end]
    routing_key = arguments[exchange_end + 1 : key_end]
    return PublishFields(exchange, routing_key, bool(bits & 1), bool(bits & 2))


def decode_properties(raw: bytes) -> dict[str, Any]:
    """The properties in a content header (flags first) by name. Raises `FieldError`."""
    flags, position = decode_fixed(_NUMBERS["short"], raw, 0)
    properties: dict[str, Any] = {}
    for flag, name in _PROPERTIES:
        if not flags & flag:
            continue
        if name == "headers":
            properties[name], position = decode_table(raw, position)
        elif name == "timestamp":
            properties[name], position = decode_fixed(_TIMESTAMP, raw, position)
        elif name in ("delivery_mode", "priority"):
            properties[name], position = decode_fixed(_OCTET, raw, position)
        else:
            properties[name], position = decode_short(raw, position)
    return properties


def locate_properties(raw: bytes) -> dict[str, slice]:
    """Where in a content header (flags first) which property stands. Raises `FieldError`."""
    flags, position = decode_fixed(_NUMBERS["short"], raw, 0)
    places: dict[str, slice] = {}
    for flag, name in _PROPERTIES:
        if not flags & flag:
            continue
        start = position
        if name == "headers":
            position = decode_long(raw, start)[1]
        elif name == "timestamp":
            position += _TIMESTAMP.size
        elif name in ("delivery_mode", "priority"):
            position += _OCTET.size
        else:
            position += 1 + decode_fixed(_OCTET, raw, start)[0]
        places[name] = slice(start, position)
    if position > len(raw):
        raise FieldError("the properties are cut short")
    return places


def encode_properties(properties: Mapping[str, Any]) -> bytes:
    """The reverse of `decode_properties`."""
    flags = 0
    parts = []
    for flag, name in _PROPERTIES:
        value = properties.get(name)
        if value is None:
            continue
        flags |= flag
        if name == "headers":
            parts.append(encode_table(value))
        elif name == "timestamp":
            parts.append(_TIMESTAMP.pack(value))
        elif name in ("delivery_mode", "priority"):
            parts.append(_OCTET.pack(value))
        else:
            parts.append(encode_short(encode_text(value)))
    return flags.to_bytes(2, "big") + b"".join(parts)


def parse_delivery_mode(raw: bytes) -> int:
    """The delivery mode among the properties of a content header; 0 if it has none.

    Only as much is parsed as stands before it. Raises `FieldError`.
    """
    return _parse_octet(raw, _DELIVERY_MODE)


def parse_priority(raw: bytes) -> int:
    """The same of the priority."""
    return _parse_octet(raw, _PRIORITY)


def _parse_octet(raw: bytes, wanted: int) -> int:
    try:
        flags = raw[0] << 8 | raw[1]
        if not flags & wanted:
            return 0
        position = 2
        if flags & 0x8000:
            position += 1 + raw[position]
        if flags & 0x4000:
            position += 1 + raw[position]
        if flags & 0x2000:
            position += 4 + int.from_bytes(raw[position : position + 4], "big")
        if wanted == _PRIORITY and flags & _DELIVERY_MODE:
            position += 1
        return raw[position]
    except IndexError as error:
        raise FieldError("the content header is cut short") from error
