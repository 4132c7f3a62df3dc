"""Field tables and the values in them (AMQP 0-9-1, 4.2.5.5), with RabbitMQ's type letters.

    table   size (4), then for each field: name (short string), type letter (1), value
    array   size (4), then for each item: type letter (1), value

pamqp copies what is left for each item, so that the time for a table grows with the square of
its size; it accepts values that end outside of their table, and cannot encode bytes. Here every
octet is looked at once, nothing is read outside of its bounds, and the depth is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

from gateway.values import (
    Byte,
    Float,
    Long,
    Short,
    Timestamp,
    UnsignedByte,
    UnsignedInt,
    UnsignedShort,
)

_DEPTH_MAX = 64
_SIZE = Struct(">I")
_DECIMAL = Struct(">BI")
_INT32 = range(-(1 << 31), 1 << 31)
_INT64 = range(-(1 << 63), 1 << 63)

_FIXED: dict[int, Struct] = {
    ord(letter): Struct(format)
    for letter, format in {
        "t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I",
        "l": ">q", "L": ">q", "f": ">f", "d": ">d", "T": ">Q",
    }.items()
}  # fmt: skip
_VOID = ord("V")
# Numbers that are not plain ones: each letter has a type of its own.
_NUMBER_TYPES: dict[int, type[int] | type[float]] = {
    ord("b"): Byte, ord("B"): UnsignedByte, ord("s"): Short, ord("u"): UnsignedShort,
    ord("i"): UnsignedInt, ord("L"): Long, ord("l"): Long, ord("T"): Timestamp, ord("f"): Float,
}  # fmt: skip
_LETTERS = {type: letter for letter, type in _NUMBER_TYPES.items()}
_INT32_FIELD = Struct(">ci")
_INT64_FIELD = Struct(">cq")
_DOUBLE_FIELD = Struct(">cd")


class FieldError(Exception):
    """The fields of a method or a content header cannot be decoded."""


def decode_table(data: bytes, position: int = 0, depth: int = 0) -> tuple[dict[str, Any], int]:
    """The table at `position`, and where it ends. Raises `FieldError`."""
    start, end = _bounds(data, position, depth)
    table = {}
    while start < end:
        name, start = decode_short(data, start)
        if start >= end:
            raise FieldError("a field reaches beyond its table")
        table[name], start = _decode_value(data, start, depth)
    if start != end:
        raise FieldError("a field reaches beyond its table")
    return table, end


def iterate_table(data: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """The fields of a table: name, where each begins, where its type and value do, where it ends.

    Raises `FieldError`.
    """
    start, end = _bounds(data, 0, 0)
    while start < end:
        value_start = start + 1 + data[start]
        if value_start >= end:
            raise FieldError("a field reaches beyond its table")
        field_end = _decode_value(data, value_start, 0)[1]
        yield data[start + 1 : value_start], start, value_start, field_end
        start = field_end
    if start != end:
        raise FieldError("a field reaches beyond its table")


def iterate_array(data: bytes) -> Iterator[tuple[int, int]]:
    """The items of an array: where the type of each stands, and where its value ends.

    Raises `FieldError`.
    """
    start, end = _bounds(data, 0, 0)
    while start < end:
        item_end = _decode_value(data, start, 0)[1]
        yield start, item_end
        start = item_end
    if start != end:
        raise FieldError("an item reaches beyond its array")


def decode_short(data: bytes, position: int) -> tuple[str, int]:
    """The short string at `position`, and where it ends. Raises `FieldError`."""
    if position >= len(data):
        raise FieldError("a short string is missing")
    start = position + 1
    end = start + data[position]
    if end > len(data):
        raise FieldError("a short string is cut short")
    try:
        return data[start:end].decode(), end
    except UnicodeDecodeError as error:
        raise FieldError("a short string is not UTF-8") from error


def decode_long(data: bytes, position: int) -> tuple[bytes, int]:
    """The long string at `position`, and where it ends. Raises `FieldError`."""
    start, end = _bounds(data, position, 0)
    return data[start:end], end


def decode_fixed(struct: Struct, data: bytes, position: int) -> tuple[Any, int]:
    """The one number at `position`, and where it ends. Raises `FieldError`."""
    try:
        return struct.unpack_from(data, position)[0], position + struct.size
    except StructError as error:
        raise FieldError("a number is cut short") from error


def encode_table(table: Mapping[str, Any], depth: int = 0) -> bytes:
    """A field table with its length in front; what no field can hold becomes text."""
    fields = b"".join(
        encode_short(encode_text(name)) + _encode_value(value, depth)
        for name, value in table.items()
    )
    return _SIZE.pack(len(fields)) + fields


def encode_short(text: str | bytes) -> bytes:
    """A length octet and at most 255 bytes of UTF-8."""
    data = encode_name(text) if isinstance(text, str) else text
    if len(data) > 255:
        data = data[:255].decode("utf-8", "ignore").encode()
    return bytes((len(data),)) + data


def encode_name(name: str) -> bytes:
    """A name as it stands on the wire; bytes that are not UTF-8 pass through both ways."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # Another language can say what no bytes decode to.
        return encode_text(name)


def decode_name(data: bytes) -> str:
    """The reverse of `encode_name`."""
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """Text as UTF-8, whatever it was where it came from."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def _bounds(data: bytes, position: int, depth: int) -> tuple[int, int]:
    """Where the content begins and ends that has its size at `position`."""
    start = position + 4
    end = start + int.from_bytes(data[position:start], "big")
    if start > len(data) or end > len(data):
        raise FieldError("a value is longer than what it is in")
    if depth > _DEPTH_MAX:
        raise FieldError("the tables are nested too deep")
    return start, end


def _decode_value(data: bytes, position: int, depth: int) -> tuple[Any, int]:
    letter = data[position]
    position += 1
    if letter == _VOID:
        return None, position
    fixed = _FIXED.get(letter)
    if fixed is not None:
        value, position = decode_fixed(fixed, data, position)
        typed = _NUMBER_TYPES.get(letter)
        return (value if typed is None else typed(value)), position
    decode = _DECODERS.get(letter)
    if decode is None:
        raise FieldError(f"there is no field type {bytes((letter,))!r}")
    return decode(data, position, depth + 1)


def _decode_array(data: bytes, position: int, depth: int) -> tuple[list[Any], int]:
    start, end = _bounds(data, position, depth)
    array = []
    while start < end:
        value, start = _decode_value(data, start, depth)
        array.append(value)
    if start != end:
        raise FieldError("an item reaches beyond its array")
    return array, end


def _decode_text(data: bytes, position: int, depth: int) -> tuple[str | bytes, int]:
    """A long string says nothing about its encoding: what is not UTF-8 is bytes."""
    value, end = decode_long(data, position)
    try:
        return value.decode(), end
    except UnicodeDecodeError:
        return value, end


def _decode_bytes(data: bytes, position: int, depth: int) -> tuple[bytes, int]:
    return decode_long(data, position)


def _decode_decimal(data: bytes, position: int, depth: int) -> tuple[float, int]:
    if position + _DECIMAL.size > len(data):
        raise FieldError("a decimal is cut short")
    scale, value = _DECIMAL.unpack_from(data, position)
    return value / 10.0**scale, position + _DECIMAL.size


_DECODERS: dict[int, Callable[[bytes, int, int], tuple[Any, int]]] = {
    ord("S"): _decode_text,
    ord("x"): _decode_bytes,
    ord("A"): _decode_array,
    ord("F"): decode_table,
    ord("D"): _decode_decimal,
}


def _encode_value(value: Any, depth: int) -> bytes:
    if value is None:
        return b"V"
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    letter = _LETTERS.get(type(value))
    if letter is not None:
        return bytes((letter,)) + _FIXED[letter].pack(value)
    if isinstance(value, int) and value in _INT64:
        if value in _INT32:
            return _INT32_FIELD.pack(b"I", value)
        return _INT64_FIELD.pack(b"l", value)
    if isinstance(value, float):
        return _DOUBLE_FIELD.pack(b"d", value)
    if isinstance(value, bytes | bytearray):
        return b"x" + _SIZE.pack(len(value)) + value
    if isinstance(value, Mapping) and depth < _DEPTH_MAX:
        return b"F" + encode_table(value, depth + 1)
    if isinstance(value, Sequence) and not isinstance(value, str) and depth < _DEPTH_MAX:
        items = b"".join(_encode_value(item, depth + 1) for item in value)
        return b"A" + _SIZE.pack(len(items)) + items
    data = encode_text(str(value))
    return b"S" + _SIZE.pack(len(data)) + data
