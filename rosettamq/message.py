"""Messages as an application sends and receives them, and what came of a send."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from rosettamq.errors import MessageError
from rosettamq.remoting.codes import SystemFlag
from rosettamq.remoting.headers import PopHandle
from rosettamq.remoting.ids import encode_offset_message_id
from rosettamq.remoting.properties import (
    DELAY,
    KEYS,
    TAGS,
    TIMER_DELAY_MS,
    TIMER_DELIVER_MS,
    UNIQ_KEY,
    decode_properties,
    encode_properties,
)
from rosettamq.remoting.records import Record

# What AMQP and STOMP call by these names crosses over to them, and from them.
_CONTENT_TYPE = "content-type"
_CORRELATION_ID = "CORRELATION_ID"
_REPLY_TO = "reply-to"
_PRIORITY = "priority"
# By the bits of the system flag; old clients leave them 0.
_PACKINGS = {0: "zlib", 1: "lz4", 2: "zstd", 3: "zlib"}


@dataclass(frozen=True, slots=True, order=True)
class MessageQueue:
    """One queue of a topic; the order is the one in which queues are shared out."""

    topic: str
    broker_name: str
    queue_id: int


@dataclass(slots=True)
class Message:
    """A message; its `tag` is what consumers filter by, and the routing key of an exchange.

    `properties` are text by name; the accessors below name those that AMQP and STOMP know too.
    """

    topic: str
    body: bytes
    tag: str = ""
    keys: Iterable[str] = ()
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str | None:
        """The MIME type of the body."""
        return self.properties.get(_CONTENT_TYPE)

    @content_type.setter
    def content_type(self, value: str | None) -> None:
        self._set(_CONTENT_TYPE, value)

    @property
    def correlation_id(self) -> str | None:
        """Which request this answers."""
        return self.properties.get(_CORRELATION_ID)

    @correlation_id.setter
    def correlation_id(self, value: str | None) -> None:
        self._set(_CORRELATION_ID, value)

    @property
    def reply_to(self) -> str | None:
        """Where an answer is to go."""
        return self.properties.get(_REPLY_TO)

    @reply_to.setter
    def reply_to(self, value: str | None) -> None:
        self._set(_REPLY_TO, value)

    @property
    def priority(self) -> int | None:
        """The priority, for queues that have such."""
        return self._number(_PRIORITY)

    @priority.setter
    def priority(self, value: int | None) -> None:
        self._set(_PRIORITY, None if value is None else str(value))

    @property
    def delay_level(self) -> int | None:
        """RocketMQ's delay level, 1 to 18: 1s 5s 10s 30s 1m to 10m 20m 30m 1h 2h."""
        return self._number(DELAY)

    @delay_level.setter
    def delay_level(self, value: int | None) -> None:
        self._set(DELAY, None if value is None else str(value))

    @property
    def delay_ms(self) -> int | None:
        """How long the broker keeps the message before consumers get it."""
        return self._number(TIMER_DELAY_MS)

    @delay_ms.setter
    def delay_ms(self, value: int | None) -> None:
        self._set(TIMER_DELAY_MS, None if value is None else str(value))

    @property
    def deliver_at_ms(self) -> int | None:
        """Until when the broker keeps it, in ms since 1970."""
        return self._number(TIMER_DELIVER_MS)

    @deliver_at_ms.setter
    def deliver_at_ms(self, value: int | None) -> None:
        self._set(TIMER_DELIVER_MS, None if value is None else str(value))

    def _number(self, name: str) -> int | None:
        text = self.properties.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else None

    def _set(self, name: str, value: str | None) -> None:
        if value is None:
            self.properties.pop(name, None)
        else:
            self.properties[name] = value


@dataclass(slots=True)
class ReceivedMessage(Message):
    """A message from a queue. `handle` is what a pop gave to acknowledge it by.

    A body that this client cannot unpack is as it came, and `packed_with` says how it is packed.
    """

    message_id: str = ""
    offset_message_id: str = ""
    queue: MessageQueue = field(default_factory=lambda: MessageQueue("", "", 0))
    queue_offset: int = 0
    born_timestamp_ms: int = 0
    store_timestamp_ms: int = 0
    reconsume_times: int = 0
    packed_with: str | None = None
    handle: PopHandle | None = None


class SendStatus(Enum):
    """A message is stored in any case; what is not OK was not confirmed in time, or not by all."""

    OK = 0
    FLUSH_DISK_TIMEOUT = 10
    SLAVE_NOT_AVAILABLE = 11
    FLUSH_SLAVE_TIMEOUT = 12


@dataclass(frozen=True, slots=True)
class SendResult:
    """Where a message went: `message_id` is the one that consumers see too."""

    message_id: str
    offset_message_id: str
    queue: MessageQueue
    queue_offset: int
    status: SendStatus


def property_string(message: Message, unique_key: str) -> bytes:
    """Write all that is not the body; raises `MessageError`."""
    properties: dict[str, str] = {}
    for name, value in message.properties.items():
        if name in (TAGS, KEYS):
            raise MessageError(f"set {name} by the message's tag and keys, not as a property")
        if value:  # An empty one cannot be told from one that is absent.
            properties[name] = value
    if message.tag:
        if "|" in message.tag:
            raise MessageError("a tag may not contain |")
        properties[TAGS] = message.tag
    keys = [message.keys] if isinstance(message.keys, str) else list(message.keys)
    if any(not key or " " in key for key in keys):
        raise MessageError("a key may not be empty or contain a space")
    if keys:
        properties[KEYS] = " ".join(keys)
    properties.setdefault(UNIQ_KEY, unique_key)
    return encode_properties(properties)


def received_message(record: Record, queue: MessageQueue) -> ReceivedMessage:
    """Read a record as a message."""
    properties = decode_properties(record.properties)
    offset_message_id = encode_offset_message_id(record.store_host, record.log_offset)
    body, packed_with = _unpack(record)
    return ReceivedMessage(
        topic=record.topic,
        body=body,
        packed_with=packed_with,
        tag=properties.pop(TAGS, ""),
        keys=tuple(properties.pop(KEYS, "").split()),
        message_id=_message_id(properties, offset_message_id),
        properties=properties,
        offset_message_id=offset_message_id,
        queue=queue,
        queue_offset=record.queue_offset,
        born_timestamp_ms=record.born_timestamp,
        store_timestamp_ms=record.store_timestamp,
        reconsume_times=record.reconsume_times,
    )


def _message_id(properties: Mapping[str, str], offset_message_id: str) -> str:
    return properties.get(UNIQ_KEY, offset_message_id)


def _unpack(record: Record) -> tuple[bytes, str | None]:
    """Return the body, and how it still is packed: the standard library knows zlib only.

    One message that nobody can read must not keep those behind it from being read.
    """
    if not record.system_flag & SystemFlag.COMPRESSED:
        return record.body, None
    packed_with = _PACKINGS.get((record.system_flag & SystemFlag.COMPRESSION_TYPE) >> 8, "unknown")
    if packed_with == "zlib":
        try:
            return zlib.decompress(record.body), None
        except zlib.error:
            pass  # It says so, and is not.
    return record.body, packed_with
