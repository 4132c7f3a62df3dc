"""Message records, as they lie in the commit log and travel in the body of a pull or pop.

| size | field | | size | field |
|---|---|---|---|---|
| 4 | total size | | 8/20 | born host: IP, port |
| 4 | magic: version 1 or 2 | | 8 | store timestamp, ms |
| 4 | CRC-32 of the body, 31 bits | | 8/20 | store host |
| 4 | queue id | | 4 | times reconsumed |
| 4 | flag (the application's) | | 8 | prepared transaction offset |
| 8 | queue offset | | 4+n | body |
| 8 | log offset | | 1+n | topic (version 2: 2+n) |
| 4 | system flag | | 2+n | property string |
| 8 | born timestamp, ms | | | |

The messages of a batch are shorter: total size 4, three zero or user fields of 4 (magic 0, CRC 0,
flag), body 4+n, property string 2+n.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import SystemFlag
from rosettamq.remoting.ids import Address, pack_host, unpack_host

MAGIC_V1 = 0xDAA320A7
MAGIC_V2 = 0xDAA320AB  # The topic's length takes two bytes.
NO_HOST: Address = ("0.0.0.0", 0)

_START = Struct(">IIIiiqqiq")
_LONG = Struct(">q")
_INT = Struct(">i")
_SHORT = Struct(">h")
_RETRIES = Struct(">iq")
_BATCHED_START = Struct(">iiiii")
_BORN_HOST_V6 = int(SystemFlag.BORN_HOST_V6)
_STORE_HOST_V6 = int(SystemFlag.STORE_HOST_V6)


@dataclass(frozen=True, slots=True)
class Record:
    """One message as the log has it; `properties` is the property string, `body` as stored."""

    topic: str
    body: bytes
    properties: bytes = b""
    queue_id: int = 0
    flag: int = 0
    queue_offset: int = 0
    log_offset: int = 0
    system_flag: int = 0
    born_timestamp: int = 0
    born_host: Address = NO_HOST
    store_timestamp: int = 0
    store_host: Address = NO_HOST
    reconsume_times: int = 0
    prepared_transaction_offset: int = 0


@dataclass(frozen=True, slots=True)
class BatchedMessage:
    """One message inside the body of a batch."""

    body: bytes
    properties: bytes = b""
    flag: int = 0


def encode_record(record: Record) -> bytes:
    """Write one record; the host bits of the system flag follow from the hosts.

    Raises `ProtocolError` if a field does not fit into its place.
    """
    try:
        return _encode_record(record)
    except struct.error as error:
        raise ProtocolError(f"a field of the record is out of range: {error}") from error


def _encode_record(record: Record) -> bytes:
    born_host = pack_host(record.born_host[0])
    store_host = pack_host(record.store_host[0])
    system_flag = record.system_flag & ~(_BORN_HOST_V6 | _STORE_HOST_V6)
    if len(born_host) == 16:
        system_flag |= _BORN_HOST_V6
    if len(store_host) == 16:
        system_flag |= _STORE_HOST_V6
    topic = record.topic.encode("utf-8", "replace")
    magic = MAGIC_V2 if len(topic) > 127 else MAGIC_V1
    rest = b"".join(
        (
            born_host,
            _INT.pack(record.born_host[1]),
            _LONG.pack(record.store_timestamp),
            store_host,
            _INT.pack(record.store_host[1]),
            _RETRIES.pack(record.reconsume_times, record.prepared_transaction_offset),
            _INT.pack(len(record.body)),
            record.body,
            _SHORT.pack(len(topic)) if magic == MAGIC_V2 else bytes((len(topic),)),
            topic,
            _SHORT.pack(len(record.properties)),
            record.properties,
        )
    )
    start = _START.pack(
        _START.size + len(rest),
        magic,
        zlib.crc32(record.body) & 0x7FFFFFFF,
        record.queue_id,
        record.flag,
        record.queue_offset,
        record.log_offset,
        system_flag,
        record.born_timestamp,
    )
    return start + rest


def decode_record(data: bytes) -> Record:
    """Read exactly one record; raises `ProtocolError` if that is not what `data` is."""
    if len(data) < _START.size:
        raise ProtocolError("a record of less than its fixed part")
    size, magic, crc, queue_id, flag, queue_offset, log_offset, system_flag, born = (
        _START.unpack_from(data)
    )
    if size != len(data):
        raise ProtocolError(f"a record of {len(data)} bytes says it has {size}")
    if magic not in (MAGIC_V1, MAGIC_V2):
        raise ProtocolError(f"a record with the magic code {magic:#x}")
    cursor = _Cursor(data, _START.size)
    born_host = cursor.host(bool(system_flag & _BORN_HOST_V6))
    (store_timestamp,) = _LONG.unpack(cursor.take(8))
    store_host = cursor.host(bool(system_flag & _STORE_HOST_V6))
    reconsume_times, prepared = _RETRIES.unpack(cursor.take(_RETRIES.size))
    body = cursor.sized(_INT)
    topic = cursor.sized(_SHORT) if magic == MAGIC_V2 else cursor.take(cursor.take(1)[0])
    properties = cursor.sized(_SHORT)
    if cursor.at != len(data):
        raise ProtocolError("a record with bytes after its properties")
    if zlib.crc32(body) & 0x7FFFFFFF != crc:
        raise ProtocolError("a record whose body does not match its checksum")
    return Record(
        topic=_utf8(topic),
        body=body,
        properties=properties,
        queue_id=queue_id,
        flag=flag,
        queue_offset=queue_offset,
        log_offset=log_offset,
        system_flag=system_flag,
        born_timestamp=born,
        born_host=born_host,
        store_timestamp=store_timestamp,
        store_host=store_host,
        reconsume_times=reconsume_times,
        prepared_transaction_offset=prepared,
    )


def decode_records(data: bytes) -> list[Record]:
    """Read records that stand back to back: the body of a pull or pop."""
    return [decode_record(part) for part in _split(data, _START.size)]


def encode_batch(messages: Iterable[BatchedMessage]) -> bytes:
    """Write the body of SEND_BATCH_MESSAGE."""
    parts = []
    for message in messages:
        size = _BATCHED_START.size + len(message.body) + 2 + len(message.properties)
        parts.append(_BATCHED_START.pack(size, 0, 0, message.flag, len(message.body)))
        parts.append(message.body)
        parts.append(_SHORT.pack(len(message.properties)))
        parts.append(message.properties)
    return b"".join(parts)


def decode_batch(data: bytes) -> list[BatchedMessage]:
    """Read the body of SEND_BATCH_MESSAGE; raises `ProtocolError` if it is not one."""
    messages = []
    for part in _split(data, _BATCHED_START.size + 2):
        flag = _INT.unpack_from(part, 12)[0]
        cursor = _Cursor(part, 16)
        body = cursor.sized(_INT)
        properties = cursor.sized(_SHORT)
        if cursor.at != len(part):
            raise ProtocolError("a batched message with bytes after its properties")
        messages.append(BatchedMessage(body, properties, flag))
    return messages


def _split(data: bytes, size_min: int) -> list[bytes]:
    """Cut what stands back to back by the size that each part begins with."""
    parts = []
    at = 0
    while at < len(data):
        size = _INT.unpack_from(data, at)[0] if len(data) - at >= 4 else 0
        if size < size_min or at + size > len(data):
            raise ProtocolError(f"a message of {size} bytes where {len(data) - at} are left")
        parts.append(data[at : at + size])
        at += size
    return parts


class _Cursor:
    """A place in the bytes of one record that only moves on."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if size < 0 or self.at > len(self._data):
            raise ProtocolError("a record that ends inside a field")
        return self._data[start : self.at]

    def sized(self, length: Struct) -> bytes:
        size: int = length.unpack(self.take(length.size))[0]
        return self.take(size)

    def host(self, is_v6: bool) -> Address:
        packed = self.take(16 if is_v6 else 4)
        return unpack_host(packed), _INT.unpack(self.take(4))[0]


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("a record whose topic is not UTF-8") from error
