"""Numbers that remember how wide they were: languages with typed fields write them so again.

Anywhere else each is the plain number that it is. The names of types are RabbitMQ's, as its error
texts have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Byte(int):
    """8 bits, signed."""

    type_name = "byte"


class UnsignedByte(int):
    """8 bits, not negative."""

    type_name = "unsignedbyte"


class Short(int):
    """16 bits, signed."""

    type_name = "short"


class UnsignedShort(int):
    """16 bits, not negative."""

    type_name = "unsignedshort"


class UnsignedInt(int):
    """32 bits, not negative."""

    type_name = "unsignedint"


class Long(int):
    """64 bits, signed."""

    type_name = "long"


class Timestamp(int):
    """Seconds since 1970."""

    type_name = "timestamp"


class Float(float):
    """32 bits."""

    type_name = "float"


TYPES: dict[str, type[int] | type[float]] = {
    type.type_name: type
    for type in (Byte, UnsignedByte, Short, UnsignedShort, UnsignedInt, Long, Timestamp, Float)
}

_PLAIN_NAMES = {
    bool: "bool",
    int: "signedint",
    float: "double",
    str: "longstr",
    bytes: "binary",
    list: "array",
    dict: "table",
    type(None): "void",
}
_TYPED = frozenset(TYPES.values())
_INTEGERS = frozenset(
    ("byte", "unsignedbyte", "short", "unsignedshort", "signedint", "unsignedint", "long")
)


def type_name(value: object) -> str:
    """What RabbitMQ calls the type of a field's value."""
    name = getattr(value, "type_name", None)
    return name if isinstance(name, str) else _PLAIN_NAMES.get(type(value), "longstr")


def is_integer(value: object) -> bool:
    """Is it a whole number, of any width?"""
    return type_name(value) in _INTEGERS


def type_names(fields: Mapping[str, object]) -> dict[str, str]:
    """The types of the numbers that are not plain ones, to be kept where numbers are plain."""
    return {name: type_name(value) for name, value in fields.items() if type(value) in _TYPED}


def with_types(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields again, as they were when `type_names` was asked."""
    return {**fields, **{name: TYPES[type](fields[name]) for name, type in names.items()}}
