"""AMQP as a language: how its messages are stored, and what their properties mean.

The stored form is what a publisher sends: a basic.publish frame, a content header frame, and, if
the body is not empty, one body frame. The channel number in them means nothing, but for 0, on which
nobody can publish: the broker wrote the message, of one that died.
"""

from __future__ import annotations

import struct
from typing import Any

from core.errors import CorruptRecordError
from gateway.delays.schedules import Schedule, find_schedule
from gateway.messages import Envelope, Header, Message, Properties
from protocols.amqp.codec import (
    BODY,
    FRAME_HEAD,
    HEADER,
    PUBLISH,
    decode_properties,
    decode_publish,
    encode_frame,
    encode_method,
    encode_properties,
    parse_delivery_mode,
    parse_priority,
)
from protocols.amqp.delays import may_delay, negate_delays
from protocols.amqp.fields import FieldError, decode_name, encode_name, encode_short

_CACHE_COUNT_MAX = 4096
_CACHE_SIZE_MAX = 1 << 20  # Of the octets of all headers: decoded, they are many times larger.
_CACHED_SIZE_MAX = 1024  # Of one header.
_TIMESTAMP_MAX = 253402300799  # The last second of the year 9999.
_SAME_IN_BOTH = (
    "content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id",
    "type", "user_id", "app_id",
)  # fmt: skip
_BODY_HEAD_SIZE = 7  # Of the body frame, which an empty body has not.
_CONTENT_SIZE = 12  # Class, weight and body size, before the properties.


class AmqpHeader(Header):
    """The properties of a content header, flags first."""

    @property
    def priority(self) -> int:
        """How urgent the message is, which a queue with priorities asks for each: no table is read.

        What cannot be decoded counts as absent.
        """
        try:
            return parse_priority(self.raw)
        except FieldError:
            return 0


class AmqpLanguage:
    """Language number 1."""

    number = 1
    name = "amqp"

    def __init__(self) -> None:
        self._envelopes: dict[bytes, Envelope] = {}
        self._headers: dict[bytes, Header] = {}
        self._headers_size = 0
        # What stood before the body of the message that was read back last, and its meaning.
        self._prefix_size = 0
        self._prefix = b""
        self._prefix_meaning: tuple[Envelope, Header]

    def envelope(self, exchange: bytes, routing_key: bytes) -> Envelope:
        """The one envelope of this exchange and routing key."""
        key = b"%c%b%b" % (len(exchange), exchange, routing_key)
        envelope = self._envelopes.get(key)
        if envelope is None:
            if len(self._envelopes) >= _CACHE_COUNT_MAX:
                self._envelopes.clear()
            envelope = Envelope(decode_name(exchange), decode_name(routing_key))
            self._envelopes[key] = envelope
        return envelope

    def header(self, raw: bytes, *, died: bool = False) -> Header:
        """The header of these properties (flags first), mostly one for all. Raises `FieldError`."""
        if died:
            is_persistent = parse_delivery_mode(raw) == 2
            return AmqpHeader(self, raw, is_persistent, died=True, may_delay=may_delay(raw))
        header = self._headers.get(raw)
        if header is None:
            # The flag of the expiration is the lowest of the first octet.
            header = AmqpHeader(
                self,
                raw,
                parse_delivery_mode(raw) == 2,
                may_expire=bool(raw[0] & 1),
                may_delay=may_delay(raw),
            )
            if len(raw) <= _CACHED_SIZE_MAX:
                self._remember(header)
        return header

    def _remember(self, header: Header) -> None:
        self._headers_size += len(header.raw)
        if len(self._headers) >= _CACHE_COUNT_MAX or self._headers_size > _CACHE_SIZE_MAX:
            self._headers.clear()
            self._headers_size = len(header.raw)
        self._headers[header.raw] = header

    def parse_stored(self, stored: bytes) -> Message:
        """Read back three frames. Raises `CorruptRecordError`.

        What goes before the body is mostly the same as that of the message before.
        """
        prefix_size = self._prefix_size
        if prefix_size and stored.startswith(self._prefix):
            envelope, header = self._prefix_meaning
        else:
            envelope, header, prefix_size = self._parse_prefix(stored)
        return envelope, header, stored[prefix_size + _BODY_HEAD_SIZE : -1]

    def _parse_prefix(self, stored: bytes) -> tuple[Envelope, Header, int]:
        """The method and the content header frame, and where they end."""
        try:
            _, _, method_size = FRAME_HEAD.unpack_from(stored)
            fields = decode_publish(stored[11 : 7 + method_size])
            header_start = method_size + 8
            _, _, header_size = FRAME_HEAD.unpack_from(stored, header_start)
            header_end = header_start + 7 + header_size
            raw = stored[header_start + 7 + _CONTENT_SIZE : header_end]
            header = self.header(raw, died=stored[1:3] == b"\0\0")
        except (FieldError, IndexError, ValueError, struct.error) as error:
            raise CorruptRecordError(f"not a stored AMQP message: {error}") from error
        envelope = self.envelope(fields.exchange, fields.routing_key)
        self._prefix_size = header_end + 1
        self._prefix = stored[: header_end + 1]
        self._prefix_meaning = (envelope, header)
        return envelope, header, header_end + 1

    def decode_properties(self, raw: bytes) -> Properties:
        """AMQP properties -> neutral ones; what cannot be decoded counts as absent."""
        try:
            fields = decode_properties(raw)
        except FieldError:
            return Properties()
        fields.pop("cluster_id", None)
        mode = fields.pop("delivery_mode", None)
        present = {name: value for name, value in fields.items() if value != ""}
        return Properties(persistent=None if mode is None else mode == 2, **present)

    def find_schedule(self, header: Header) -> Schedule | None:
        """Our own headers."""
        return find_schedule(header.properties.headers)

    def parse_due(self, stored: bytes) -> tuple[Message, bytes]:
        """The same frames, with the delay negated. Raises `CorruptRecordError`."""
        envelope, header, body = self.parse_stored(stored)
        try:
            raw = negate_delays(header.raw)
        except FieldError as error:
            raise CorruptRecordError(f"not a stored AMQP message: {error}") from error
        channel = 0 if header.died else 1
        message = (envelope, self.header(raw, died=header.died), body)
        return message, encode_stored(envelope, raw, body, channel)

    def encode(
        self,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        *,
        died: bool = True,
    ) -> tuple[Message, bytes]:
        """A message that the broker writes itself, and its stored form."""
        envelope = self.envelope(encode_name(exchange)[:255], encode_name(routing_key)[:255])
        raw = encode_neutral(properties)
        message = (envelope, self.header(raw, died=died), body)
        return message, encode_stored(envelope, raw, body, channel=0 if died else 1)


def raw_properties(header: Header) -> bytes:
    """The AMQP properties, flags first, of a header in whatever language; made once for each."""
    if header.language.number == AmqpLanguage.number:
        return header.raw
    raw: bytes | None = header.translated.get(AmqpLanguage.number)
    if raw is None:
        raw = header.translated[AmqpLanguage.number] = encode_neutral(header.properties)
    return raw


def encode_neutral(properties: Properties) -> bytes:
    """Neutral properties -> AMQP ones, flags first. Never raises: what does not fit is left out."""
    fields: dict[str, Any] = {name: getattr(properties, name) for name in _SAME_IN_BOTH}
    fields["headers"] = properties.headers or None
    if properties.persistent is not None:
        fields["delivery_mode"] = 1 + properties.persistent
    if properties.priority is not None:
        fields["priority"] = min(max(properties.priority, 0), 255)
    timestamp = properties.timestamp
    if timestamp is not None and 0 <= timestamp <= _TIMESTAMP_MAX:
        fields["timestamp"] = timestamp
    return encode_properties(fields)


def encode_stored(envelope: Envelope, raw_header: bytes, body: bytes, channel: int = 1) -> bytes:
    """The stored form of a message that did not arrive in it."""
    arguments = b"\x00\x00%b%b\x00" % (
        encode_short(encode_name(envelope.exchange)),
        encode_short(encode_name(envelope.routing_key)),
    )
    publish = encode_method(channel, PUBLISH[1], PUBLISH[3], arguments)
    content = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + raw_header
    stored = publish + encode_frame(HEADER, channel, content)
    return stored + encode_frame(BODY, channel, body) if body else stored
