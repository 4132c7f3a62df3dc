"""How messages are written down that come through the HTTP API: msgpack, since nobody else sees it.

A stored message is [exchange, routing key, properties, body]; properties are those fields of
`gateway.messages.Properties` that are there, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import msgspec

from core.errors import CorruptRecordError
from gateway.delays.schedules import SCHEDULE_HEADERS, Schedule, find_schedule, negate
from gateway.messages import Envelope, Header, Message, Properties

_encode = msgspec.msgpack.Encoder().encode
_decode_stored = msgspec.msgpack.Decoder(tuple[str, str, bytes, bytes]).decode
_decode_fields = msgspec.msgpack.Decoder(dict[str, Any]).decode
_NAMES = tuple(field.name for field in fields(Properties))


class HttpLanguage:
    """Language number 4."""

    number = 4
    name = "http"

    def make_header(self, properties: Properties) -> Header:
        """A header of these properties. Raises `ValueError` if they cannot be written down."""
        given = {name: getattr(properties, name) for name in _NAMES}
        present = {name: value for name, value in given.items() if value not in (None, {})}
        try:
            raw = _encode(present)
        except (OverflowError, RecursionError) as error:
            raise ValueError(f"properties: {error}") from None
        return _header(self, raw, present)

    def parse_stored(self, stored: bytes) -> Message:
        """Read back what `encode_stored` made. Raises `CorruptRecordError`."""
        try:
            exchange, routing_key, raw, body = _decode_stored(stored)
            header = _header(self, raw, _decode_fields(raw))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise CorruptRecordError(f"not a stored HTTP message: {error}") from error
        return Envelope(exchange, routing_key), header, body

    def decode_properties(self, raw: bytes) -> Properties:
        """The properties that `make_header` was given."""
        return Properties(**_decode_fields(raw))

    def find_schedule(self, header: Header) -> Schedule | None:
        """Our own headers."""
        return find_schedule(header.properties.headers)

    def parse_due(self, stored: bytes) -> tuple[Message, bytes]:
        """The same, with the delay negated. Raises `CorruptRecordError`."""
        envelope, header, body = self.parse_stored(stored)
        headers = negate(header.properties.headers)
        message = (envelope, self.make_header(replace(header.properties, headers=headers)), body)
        return message, encode_stored(message)


def _header(language: HttpLanguage, raw: bytes, fields: Mapping[str, Any]) -> Header:
    return Header(
        language,
        raw,
        bool(fields.get("persistent")),
        may_expire="expiration" in fields,
        may_delay=not SCHEDULE_HEADERS.isdisjoint(fields.get("headers", ())),
    )


HTTP = HttpLanguage()


def encode_stored(message: Message) -> bytes:
    """The stored form of a message in this language."""
    envelope, header, body = message
    return _encode((envelope.exchange, envelope.routing_key, header.raw, body))
