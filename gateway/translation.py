"""The one table of properties between the languages, and the text forms of their values.

AMQP has typed properties; STOMP headers and RocketMQ properties are both text by name. A front end
of a text language takes its own column of `PROPERTY_NAMES` and calls `to_text` and `from_text`.
What the application itself put into headers crosses under its own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.messages import Properties, Value


@dataclass(frozen=True, slots=True)
class PropertyNames:
    """What one field of `Properties` is called in the text languages."""

    field: str
    stomp: str
    native: str


PROPERTY_NAMES = (
    PropertyNames("content_type", "content-type", "content-type"),
    PropertyNames("content_encoding", "content-encoding", "content-encoding"),
    PropertyNames("persistent", "persistent", "persistent"),
    PropertyNames("priority", "priority", "priority"),
    PropertyNames("correlation_id", "correlation-id", "CORRELATION_ID"),
    PropertyNames("reply_to", "reply-to", "reply-to"),
    PropertyNames("expiration", "expiration", "expiration"),
    PropertyNames("message_id", "amqp-message-id", "UNIQ_KEY"),
    PropertyNames("timestamp", "timestamp", "timestamp"),
    PropertyNames("type", "type", "type"),
    PropertyNames("user_id", "user-id", "user-id"),
    PropertyNames("app_id", "app-id", "app-id"),
)

STOMP_NAMES: Mapping[str, str] = {names.field: names.stomp for names in PROPERTY_NAMES}
NATIVE_NAMES: Mapping[str, str] = {names.field: names.native for names in PROPERTY_NAMES}

# AMQP's headers under which RocketMQ's own say the same: the tag and the keys of a message.
NATIVE_HEADERS = frozenset(("TAGS", "KEYS"))


def to_text(properties: Properties, names: Mapping[str, str]) -> dict[str, str]:
    """Give the fields that are present as text, under the names of one language."""
    return {
        name: value_text(value)
        for field, name in names.items()
        if (value := getattr(properties, field)) is not None
    }


def from_text(
    texts: Mapping[str, str], names: Mapping[str, str], unseen: frozenset[str] = frozenset()
) -> Properties:
    """Read text under the names of one language; every other name is a header of the application.

    A value that is not of its field's type stays a header as well, so that nothing is lost.
    `unseen` are names which mean something to that language alone.
    """
    fields_by_name = {name: field for field, name in names.items()}
    fields: dict[str, Any] = {}
    headers: dict[str, Value] = {}
    for name, text in texts.items():
        field = fields_by_name.get(name)
        value = None if field is None else _parse(field, text)
        if field is not None and value is not None:
            fields[field] = value
        elif name not in unseen or field is not None:
            headers[name] = text
    return Properties(headers=headers, **fields)


def value_text(value: Value) -> str:
    """Write any value of a header as text: JSON where it has no simpler form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_json_default)


def _json_default(value: object) -> str:
    """What JSON has no form for, such as bytes inside a table."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _parse_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text)


def _parse_number(text: str) -> int | None:
    digits = text.removeprefix("-")
    # Only what is written back just so: not "007", not digits of other scripts.
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 19
    return int(text) if is_number and str(int(text)) == text else None


_PARSERS: dict[str, Callable[[str], Value]] = {
    "persistent": _parse_boolean,
    "priority": _parse_number,
    "timestamp": _parse_number,
}


def _parse(field: str, text: str) -> Value:
    parse = _PARSERS.get(field)
    if parse is None:
        return text
    value = parse(text)
    if field == "priority" and isinstance(value, int) and not 0 <= value <= 255:
        return None  # AMQP's priority is one octet.
    if field == "timestamp" and isinstance(value, int) and not 0 <= value < 1 << 63:
        return None
    return value
