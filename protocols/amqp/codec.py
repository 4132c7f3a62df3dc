"""Octets <-> frames. The framing is ours; the fields of cold methods are pamqp's.

    | type (1) | channel (2) | size (4) | payload (size bytes) | 0xCE |      AMQP 0-9-1, 4.2.3

pamqp is given whole, checked frames only. It refuses names that RabbitMQ allows, so the methods
that a server sends with names in them are encoded here.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Any, NamedTuple

from pamqp import commands, common, decode, encode, exceptions, frame

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_TYPES = frozenset((METHOD, HEADER, BODY, HEARTBEAT))
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

# What pamqp raises, one way or another, on fields that make no sense.
_UNDECODABLE = (
    exceptions.UnmarshalingException,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    struct.error,
)


class FieldError(Exception):
    """The fields of a method or a content header cannot be decoded."""


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


def short_string(text: str | bytes) -> bytes:
    """A length octet and at most 255 bytes of UTF-8."""
    data = encode_name(text) if isinstance(text, str) else text
    if len(data) > 255:
        data = data[:255].decode("utf-8", "ignore").encode()
    return bytes((len(data),)) + data


def encode_name(name: str) -> bytes:
    """A name as it stands on the wire; bytes that are not UTF-8 pass through both ways."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(data: bytes) -> str:
    """The reverse of `encode_name`."""
    return data.decode("utf-8", "surrogateescape")


def decode_method(data: bytes) -> Any:
    """The pamqp command in a whole method frame. Raises `FieldError`."""
    try:
        return frame.unmarshal(data)[2]
    except _UNDECODABLE as error:
        raise FieldError(str(error)) from error


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


def decode_properties(raw: bytes) -> commands.Basic.Properties:
    """The properties of a content header, flags first. Raises `FieldError`."""
    properties = commands.Basic.Properties()
    try:
        (flags,) = struct.unpack_from(">H", raw)
        properties.unmarshal(flags, raw[2:])
    except _UNDECODABLE as error:
        raise FieldError(str(error)) from error
    return properties


def decode_table(data: bytes) -> tuple[int, dict[str, Any]]:
    """A field table with its length in front: how many bytes it took, and the fields.

    Raises `FieldError`.
    """
    try:
        size, table = decode.field_table(data)
    except _UNDECODABLE as error:
        raise FieldError(str(error)) from error
    return size, dict(table)


def encode_table(table: common.FieldTable) -> bytes:
    """A field table with its length in front."""
    return encode.field_table(table)


def parse_delivery_mode(raw: bytes) -> int:
    """The delivery mode among the properties of a content header; 0 if it has none.

    Only as much is parsed as stands before it. Raises `FieldError`.
    """
    try:
        flags = raw[0] << 8 | raw[1]
        if not flags & 0x1000:
            return 0
        position = 2
        if flags & 0x8000:
            position += 1 + raw[position]
        if flags & 0x4000:
            position += 1 + raw[position]
        if flags & 0x2000:
            position += 4 + int.from_bytes(raw[position : position + 4], "big")
        return raw[position]
    except IndexError as error:
        raise FieldError("the content header is cut short") from error
