"""AMQP as a language: how its messages are stored, and what their properties mean.

The stored form is what a publisher sends: a basic.publish frame, a content header frame, and, if
the body is not empty, one body frame. The channel number in them means nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from pamqp import commands

from core.errors import CorruptRecordError
from gateway.messages import Envelope, Header, Message, Properties, Value
from protocols.amqp.codec import (
    BODY,
    FRAME_HEAD,
    HEADER,
    PUBLISH,
    FieldError,
    decode_name,
    decode_properties,
    decode_publish,
    encode_frame,
    encode_method,
    encode_name,
    parse_delivery_mode,
    short_string,
)

_CACHE_SIZE_MAX = 4096
_TIMESTAMP_MAX = 253402300799  # The last second of the year 9999.
_CONTENT_SIZE = 12  # Class, weight and body size, before the properties.


class AmqpLanguage:
    """Language number 1."""

    number = 1
    name = "amqp"

    def __init__(self) -> None:
        self._envelopes: dict[bytes, Envelope] = {}
        self._headers: dict[bytes, Header] = {}

    def envelope(self, exchange: bytes, routing_key: bytes) -> Envelope:
        """The one envelope of this exchange and routing key."""
        key = b"%c%b%b" % (len(exchange), exchange, routing_key)
        envelope = self._envelopes.get(key)
        if envelope is None:
            if len(self._envelopes) >= _CACHE_SIZE_MAX:
                self._envelopes.clear()
            envelope = Envelope(decode_name(exchange), decode_name(routing_key))
            self._envelopes[key] = envelope
        return envelope

    def header(self, raw: bytes) -> Header:
        """The one header of these properties (flags first). Raises `FieldError`."""
        header = self._headers.get(raw)
        if header is None:
            if len(self._headers) >= _CACHE_SIZE_MAX:
                self._headers.clear()
            header = Header(self, raw, parse_delivery_mode(raw) == 2)
            self._headers[raw] = header
        return header

    def parse_stored(self, stored: bytes) -> Message:
        """Read back three frames. Raises `CorruptRecordError`."""
        try:
            _, _, method_size = FRAME_HEAD.unpack_from(stored)
            fields = decode_publish(stored[11 : 7 + method_size])
            header_start = method_size + 8
            _, _, header_size = FRAME_HEAD.unpack_from(stored, header_start)
            header_end = header_start + 7 + header_size
            header = self.header(stored[header_start + 7 + _CONTENT_SIZE : header_end])
        except (FieldError, IndexError, ValueError) as error:
            raise CorruptRecordError(f"not a stored AMQP message: {error}") from error
        body = stored[header_end + 8 : -1] if len(stored) > header_end + 1 else b""
        return self.envelope(fields.exchange, fields.routing_key), header, body

    def decode_properties(self, raw: bytes) -> Properties:
        """AMQP properties -> neutral ones; what cannot be decoded counts as absent."""
        try:
            fields = decode_properties(raw)
        except FieldError:
            return Properties()
        timestamp = fields.timestamp
        return Properties(
            content_type=fields.content_type or None,
            content_encoding=fields.content_encoding or None,
            headers=cast("dict[str, Value]", _neutral(fields.headers or {})),
            persistent=None if fields.delivery_mode is None else fields.delivery_mode == 2,
            priority=fields.priority,
            correlation_id=fields.correlation_id or None,
            reply_to=fields.reply_to or None,
            expiration=fields.expiration or None,
            message_id=fields.message_id or None,
            timestamp=int(timestamp.timestamp()) if isinstance(timestamp, datetime) else timestamp,
            type=fields.message_type or None,
            user_id=fields.user_id or None,
            app_id=fields.app_id or None,
        )


def encode_properties(properties: Properties) -> bytes:
    """Neutral properties -> AMQP ones, flags first."""
    timestamp = properties.timestamp
    if timestamp is not None and not 0 <= timestamp <= _TIMESTAMP_MAX:
        timestamp = None  # Not a time that AMQP clients could read.
    fields = commands.Basic.Properties(
        content_type=_short(properties.content_type),
        content_encoding=_short(properties.content_encoding),
        headers=_encodable(properties.headers) or None,
        delivery_mode=None if properties.persistent is None else 1 + properties.persistent,
        priority=None if properties.priority is None else min(max(properties.priority, 0), 255),
        correlation_id=_short(properties.correlation_id),
        reply_to=_short(properties.reply_to),
        expiration=_short(properties.expiration),
        message_id=_short(properties.message_id),
        timestamp=None if timestamp is None else datetime.fromtimestamp(timestamp, UTC),
        message_type=_short(properties.type),
        user_id=_short(properties.user_id),
        app_id=_short(properties.app_id),
    )
    return bytes(fields.marshal())


def encode_stored(envelope: Envelope, raw_header: bytes, body: bytes) -> bytes:
    """The stored form of a message that did not arrive in it."""
    arguments = b"\x00\x00%b%b\x00" % (
        short_string(encode_name(envelope.exchange)),
        short_string(encode_name(envelope.routing_key)),
    )
    publish = encode_method(1, PUBLISH[1], PUBLISH[3], arguments)
    content = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + raw_header
    stored = publish + encode_frame(HEADER, 1, content)
    return stored + encode_frame(BODY, 1, body) if body else stored


def _short(text: str | None) -> str | None:
    """What fits a short string."""
    return None if text is None else _utf8(text).encode()[:255].decode("utf-8", "ignore")


def _utf8(text: str) -> str:
    """Text that can be encoded: what was not UTF-8 where it came from is replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _encodable(value: Any) -> Any:
    """A header value as pamqp can encode it."""
    if isinstance(value, str):
        return _utf8(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    if isinstance(value, dict):
        return {_short(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value


def _neutral(value: Any) -> Value:
    """A field value without AMQP's own types."""
    if isinstance(value, dict):
        return {str(name): _neutral(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_neutral(item) for item in value]
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytearray):
        return bytes(value)
    return cast("Value", value)
