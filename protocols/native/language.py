"""Language number 3: RocketMQ's record layout, and what it means to the other languages.

A native message is stored as RocketMQ's commit log has it (`rosettamq.remoting.records`), with the
fields that depend on a queue left zero: they are stamped when it is read. One of them is used on
disk only: QUEUEID is 1 when the topic was an exchange, and 0 when it was a queue of the default
exchange, as the record has no other place for that.

In memory the body is always plain, as the other languages know no compression; the compressed form
stays at hand for native readers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from core.errors import CorruptRecordError
from gateway.delays.schedules import Schedule
from gateway.messages import Envelope, Header, Message, Properties
from gateway.translation import NATIVE_HEADERS, NATIVE_NAMES, from_text, to_text, value_text
from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import SystemFlag
from rosettamq.remoting.ids import Address
from rosettamq.remoting.properties import (
    RESERVED,
    SIZE_MAX,
    TAGS,
    UNIQ_KEY,
    decode_properties,
    encode_properties,
    is_writable,
)
from rosettamq.remoting.records import Record, decode_record, encode_record

from .delaying import find_schedule, may_delay, without_delay

NUMBER = 3

# RocketMQ's own names that no other language has a use for.
_UNSEEN = RESERVED - NATIVE_HEADERS
_COMPRESSED = int(SystemFlag.COMPRESSED)
_COMPRESSION_TYPE = int(SystemFlag.COMPRESSION_TYPE)
# A body may unpack to this much; a native client's own limit for a message is 4 MiB.
_PLAIN_SIZE_MAX = 16 * 1024 * 1024


class NativeHeader(Header):
    """The property string and the fields of a record that no other language has."""

    def __init__(
        self, record: Record, texts: dict[str, str], compressed_body: bytes | None
    ) -> None:
        self.texts = texts
        super().__init__(
            NATIVE,
            record.properties,
            self.texts.get("persistent") != "false",
            may_expire=NATIVE_NAMES["expiration"] in texts,
            may_delay=may_delay(texts),
        )
        self.compressed_body = compressed_body
        self.flag = record.flag
        self.system_flag = record.system_flag
        self.born_timestamp = record.born_timestamp
        self.born_host = record.born_host
        self.reconsume_times = record.reconsume_times

    @property
    def tag(self) -> str:
        """The message's tag, "" without one."""
        return self.texts.get(TAGS, "")

    @cached_property
    def unique_key(self) -> str:
        """The id that the client or we gave it."""
        return self.texts.get(UNIQ_KEY, "")


class NativeLanguage:
    """How native messages are written down."""

    number = NUMBER
    name = "native"

    def parse_stored(self, stored: bytes) -> Message:
        """Read back what `to_stored` wrote; raises `CorruptRecordError`."""
        try:
            record = decode_record(stored)
        except ProtocolError as error:
            raise CorruptRecordError(f"a stored native message is damaged: {error}") from error
        return _to_message(record, decode_properties(record.properties))

    def decode_properties(self, raw: bytes) -> Properties:
        """Translate a property string; RocketMQ's own names are left out."""
        properties = from_text(decode_properties(raw), NATIVE_NAMES, _UNSEEN)
        if properties.persistent is None:
            # RocketMQ knows no message that is not.
            return replace(properties, persistent=True)
        return properties

    def find_schedule(self, header: Header) -> Schedule | None:
        """RocketMQ's properties, and our own."""
        assert isinstance(header, NativeHeader)
        return find_schedule(header.texts)

    def parse_due(self, stored: bytes) -> tuple[Message, bytes]:
        """The same without what delayed it. Raises `CorruptRecordError`."""
        message = self.parse_stored(stored)
        header = message[1]
        assert isinstance(header, NativeHeader)
        texts = without_delay(header.texts)
        return to_stored(replace(decode_record(stored), properties=encode_properties(texts)), texts)


NATIVE = NativeLanguage()


def to_stored(record: Record, texts: dict[str, str] | None = None) -> tuple[Message, bytes]:
    """Make a message, and the form that is stored, of what a client sent.

    The record's queue id says what the topic is, as above; `texts` are its properties, if they are
    decoded already.
    """
    if texts is None:
        texts = decode_properties(record.properties)
    return _to_message(record, texts), encode_record(record)


def _to_message(record: Record, texts: dict[str, str]) -> Message:
    plain = _plain_body(record)
    header = NativeHeader(record, texts, None if plain is None else record.body)
    if record.queue_id:
        envelope = _envelope(record.topic, header.tag)
    else:
        envelope = _envelope("", record.topic)
    return envelope, header, record.body if plain is None else plain


@lru_cache(maxsize=1024)
def _envelope(exchange: str, routing_key: str) -> Envelope:
    return Envelope(exchange, routing_key)


def _plain_body(record: Record) -> bytes | None:
    """Unpack the body if the client packed it with zlib; None if not, or if that fails.

    The bits for the kind are 0 in old clients, which mean zlib, and 3. The standard library has
    neither LZ4 (1) nor ZSTD (2): such a body is carried as it is.
    """
    kind = (record.system_flag & _COMPRESSION_TYPE) >> 8
    if not record.system_flag & _COMPRESSED or kind not in (0, 3):
        return None
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(record.body, _PLAIN_SIZE_MAX)
    except zlib.error:
        return None
    return plain if unpacker.eof and not unpacker.unused_data else None


class Place(NamedTuple):
    """Where a native reader meets a message."""

    topic: str
    queue_offset: int
    log_offset: int
    store_timestamp_ms: int
    store_host: Address
    queue_id: int = 0


def to_record(message: Message, place: Place, reconsume_times: int = 0) -> bytes:
    """Write any message as the record that a native reader expects."""
    envelope, header, body = message
    if isinstance(header, NativeHeader):
        packed = header.compressed_body
        record = Record(
            place.topic,
            body if packed is None else packed,
            header.raw,
            place.queue_id,
            header.flag,
            place.queue_offset,
            place.log_offset,
            header.system_flag,
            header.born_timestamp,
            header.born_host,
            place.store_timestamp_ms,
            place.store_host,
            reconsume_times + header.reconsume_times,
        )
    else:
        record = Record(
            place.topic,
            body,
            _translated(envelope, header),
            queue_id=place.queue_id,
            queue_offset=place.queue_offset,
            log_offset=place.log_offset,
            born_timestamp=place.store_timestamp_ms,
            store_timestamp=place.store_timestamp_ms,
            store_host=place.store_host,
            reconsume_times=reconsume_times,
        )
    return encode_record(record)


def message_tag(message: Message) -> str:
    """Give the tag that a filter looks at: of AMQP and STOMP, the routing key."""
    envelope, header, _ = message
    if isinstance(header, NativeHeader):
        return header.tag
    if envelope.exchange:
        return envelope.routing_key
    return value_text(header.properties.headers.get(TAGS, ""))


def message_texts(message: Message) -> Callable[[str], str | None]:
    """Look up the properties that a native reader sees."""
    envelope, header, _ = message
    if isinstance(header, NativeHeader):
        return header.texts.get
    return _decoded(_translated(envelope, header)).get


@lru_cache(maxsize=1024)
def _decoded(raw: bytes) -> dict[str, str]:
    return decode_properties(raw)


def _translated(envelope: Envelope, header: Header) -> bytes:
    """Translate the properties of another language, but for the tag, once per header."""
    cached: bytes | None = header.translated.get(NUMBER)
    if cached is None:
        cached = header.translated[NUMBER] = _property_string(header.properties)
    if not envelope.exchange or not is_writable(TAGS, envelope.routing_key):
        return cached
    tag = f"{TAGS}\x01{envelope.routing_key}\x02".encode("utf-8", "replace")
    return cached + tag if len(cached) + len(tag) <= SIZE_MAX else cached


def _property_string(properties: Properties) -> bytes:
    """Write neutral properties; what does not fit into RocketMQ's limits is left out."""
    own = to_text(properties, NATIVE_NAMES)
    if properties.persistent:
        del own[NATIVE_NAMES["persistent"]]  # It goes without saying.
    elif properties.persistent is None:
        own[NATIVE_NAMES["persistent"]] = "false"
    headers = {
        name: value_text(value)
        for name, value in properties.headers.items()
        if name not in own and name not in _UNSEEN
    }
    data = bytearray()
    for name, text in (own | headers).items():
        entry = f"{name}\x01{text}\x02".encode("utf-8", "replace")
        if is_writable(name, text) and len(data) + len(entry) <= SIZE_MAX:
            data += entry
    return bytes(data)
