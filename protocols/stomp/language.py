"""STOMP as a language of messages: SEND headers -> neutral properties -> MESSAGE headers.

A message is stored as it came: the header lines of its SEND, an empty line, the body. So the
header's `raw` is those lines, and RabbitMQ's rule for them is kept: what is no property and not
`destination` is the application's own header, `receipt` and `transaction` included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from core.errors import CorruptRecordError
from gateway.delays.schedules import Schedule
from gateway.messages import Envelope, Header, Message, Properties, Value
from gateway.translation import STOMP_NAMES
from protocols.stomp.codec import encode_header, find_header_end, parse_header_block, to_octets
from protocols.stomp.destinations import format_reply_to, parse_destination
from protocols.stomp.errors import RequestRefusedError, StompProtocolError, processing_error
from protocols.stomp.receipt_lines import Around, make_lines, split
from protocols.stomp.scheduling import find_schedule, may_delay, without_schedule

NUMBER = 2
_INTERNED_COUNT_MAX = 1_024
_INTERNED_SIZE_MAX = 4_096  # Longer header blocks are read each time.

# Which headers are not the application's own; the names are those of the one table.
_PROPERTY_HEADERS = frozenset({*STOMP_NAMES.values(), "destination"})


def boolean_header(headers: Mapping[str, str], name: str, default: bool = False) -> bool:
    """A header that is true or false; anything else counts as absent."""
    match headers.get(name):
        case "true" | "True":  # Some Python clients say "True".
            return True
        case "false" | "False":
            return False
    return default


def integer_header(headers: Mapping[str, str], name: str, maximum: int) -> int | None:
    """A header that is a number of at most `maximum`; raises `RequestRefusedError` if it is not."""
    text = headers.get(name)
    if text is None:
        return None
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20) or int(digits) > maximum:
        raise processing_error()
    return int(digits)


def properties_from_headers(headers: Mapping[str, str]) -> Properties:
    """What a SEND says of its message; raises `RequestRefusedError` for a bad number."""
    own: dict[str, Value] = {
        name: value for name, value in headers.items() if name not in _PROPERTY_HEADERS
    }
    get = headers.get
    return Properties(
        content_type=get("content-type"),
        content_encoding=get("content-encoding"),
        headers=own,
        persistent=True if boolean_header(headers, "persistent") else None,
        priority=integer_header(headers, "priority", 255),
        correlation_id=get("correlation-id"),
        reply_to=get("reply-to"),
        expiration=get("expiration"),
        message_id=get("amqp-message-id"),
        timestamp=integer_header(headers, "timestamp", 2**63 - 1),
        type=get("type"),
        user_id=get("user-id"),
        app_id=get("app-id"),
    )


def headers_from_properties(properties: Properties) -> Iterator[tuple[str, str]]:
    """What a MESSAGE says of its properties, in RabbitMQ's order; some values have no STOMP form.

    Text and whole numbers cross over; truth values, fractions, tables and lists do not.
    """
    for name, value in properties.headers.items():
        if isinstance(value, bytes):
            yield name, value.decode("utf-8", "surrogateescape")
        elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            yield name, str(value)
    if properties.persistent is not None:
        yield "persistent", "true" if properties.persistent else "1"
    reply_to = properties.reply_to
    for name, property_value in (
        ("priority", properties.priority),
        ("correlation-id", properties.correlation_id),
        ("reply-to", None if reply_to is None else format_reply_to(reply_to)),
        ("expiration", properties.expiration),
        ("amqp-message-id", properties.message_id),
        ("timestamp", properties.timestamp),
        ("type", properties.type),
        ("user-id", properties.user_id),
        ("app-id", properties.app_id),
        ("content-encoding", properties.content_encoding),
        ("content-type", properties.content_type),
    ):
        if property_value is not None:
            yield name, str(property_value)


def message_headers(header: Header) -> bytes:
    """The header lines of a MESSAGE that come from the message itself, made once per header."""
    lines: bytes | None = header.translated.get(NUMBER)
    if lines is None:
        lines = to_octets(
            "".join(
                encode_header(name, value)
                for name, value in headers_from_properties(header.properties)
                if name != "content-length"
            )
        )
        header.translated[NUMBER] = lines
    return lines


def encode_header_block(headers: Mapping[str, str]) -> bytes:
    """Header lines for the store, when those that came cannot be kept as they are."""
    return to_octets("".join(encode_header(name, value) for name, value in headers.items()))


def similar_header(known: Header, raw: bytes) -> Header:
    """A header that differs from a known one in nothing but its receipt."""
    return Header(
        STOMP,
        raw,
        known.persistent,
        may_expire=known.may_expire,
        may_delay=known.may_delay,
    )


class StompLanguage:
    """Language 2. What was read back shares one envelope and header per header block.

    Blocks that differ in their receipt only share the envelope.
    """

    number = NUMBER
    name = "stomp"

    def __init__(self) -> None:
        self._interned: dict[bytes, tuple[Envelope, Header]] = {}
        self._templates: dict[Around, tuple[Envelope, Header, Callable[[bytes], bytes]]] = {}

    def make_header(self, raw: bytes, headers: Mapping[str, str]) -> Header:
        """The header of a message; `headers` is what `raw` says."""
        persistent = boolean_header(headers, "persistent")
        return Header(
            self,
            raw,
            persistent,
            may_expire="expiration" in headers,
            may_delay=may_delay(headers),
        )

    def parse_stored(self, stored: bytes) -> Message:
        """Read back a stored SEND; raises `CorruptRecordError` if it is none."""
        end, body_start = find_header_end(stored, 0)
        if end < 0:
            raise CorruptRecordError("a stored STOMP message has no empty line")
        raw = stored[:end]
        known = self._interned.get(raw) or self._from_template(raw)
        if known is None:
            known = self._parse_raw(raw)
            if len(raw) <= _INTERNED_SIZE_MAX:
                self._remember(raw, *known)
        return known[0], known[1], stored[body_start:]

    def _remember(self, raw: bytes, envelope: Envelope, header: Header) -> None:
        if len(self._interned) + len(self._templates) >= _INTERNED_COUNT_MAX:
            self._interned.clear()
            self._templates.clear()
        if (found := split(raw)) is None:
            self._interned[raw] = envelope, header
        else:
            around, receipt = found
            lines = make_lines(message_headers(header), receipt)
            self._templates[around] = envelope, header, lines

    def _from_template(self, raw: bytes) -> tuple[Envelope, Header] | None:
        """One that differs from another in its receipt only."""
        found = split(raw)
        template = self._templates.get(found[0]) if found is not None else None
        if found is None or template is None:
            return None
        envelope, known, lines = template
        header = similar_header(known, raw)
        header.translated[NUMBER] = lines(found[1])
        return envelope, header

    def decode_properties(self, raw: bytes) -> Properties:
        """Translate the header lines of a SEND that was once accepted."""
        return properties_from_headers(parse_header_block(raw))

    def find_schedule(self, header: Header) -> Schedule | None:
        """Our own headers, and ActiveMQ's."""
        return find_schedule(parse_header_block(header.raw))

    def parse_due(self, stored: bytes) -> tuple[Message, bytes]:
        """The same without what delayed it. Raises `CorruptRecordError`."""
        envelope, header, body = self.parse_stored(stored)
        headers = without_schedule(parse_header_block(header.raw))
        raw = encode_header_block(headers)
        return (envelope, self.make_header(raw, headers), body), raw + b"\n" + body

    def _parse_raw(self, raw: bytes) -> tuple[Envelope, Header]:
        try:
            headers = parse_header_block(raw)
            destination = parse_destination(headers.get("destination", ""))
        except (StompProtocolError, RequestRefusedError) as error:
            raise CorruptRecordError(f"a stored STOMP message: {error}") from error
        envelope = Envelope(destination.exchange, destination.routing_key)
        return envelope, self.make_header(raw, headers)


STOMP = StompLanguage()
