"""Property strings: name U+0001 value U+0002, again and again, in UTF-8."""

from __future__ import annotations

from collections.abc import Mapping

from rosettamq.errors import MessageError

NAME_END = "\x01"
VALUE_END = "\x02"
SIZE_MAX = 32767  # A signed short on disk and on the wire.

TAGS = "TAGS"
KEYS = "KEYS"
UNIQ_KEY = "UNIQ_KEY"
WAIT = "WAIT"
DELAY = "DELAY"
TIMER_DELAY_SEC = "TIMER_DELAY_SEC"
TIMER_DELAY_MS = "TIMER_DELAY_MS"
TIMER_DELIVER_MS = "TIMER_DELIVER_MS"
TRANSACTION = "TRAN_MSG"
POP_CK = "POP_CK"

# Names that mean something to RocketMQ; its clients refuse them as an application's own.
_RESERVED_NAMES = """
    KEYS TAGS WAIT DELAY TIMER_DELAY_SEC TIMER_DELAY_MS TIMER_DELIVER_MS TIMER_OUT_MS
    TIMER_ENQUEUE_MS TIMER_DEQUEUE_MS TIMER_ROLL_TIMES TIMER_DEL_UNIQKEY TIMER_DELAY_LEVEL
    RETRY_TOPIC REAL_TOPIC REAL_QID TRAN_MSG PGROUP TRAN_PREPARED_QUEUE_OFFSET
    TRANSACTION_CHECK_TIMES CHECK_IMMUNITY_TIME_IN_SECONDS __transactionId__ UNIQ_KEY
    EXTEND_UNIQ_INFO DUP_INFO ORIGIN_MESSAGE_ID RECONSUME_TIME MAX_RECONSUME_TIMES MIN_OFFSET
    MAX_OFFSET CONSUME_START_TIME MSG_REGION TRACE_ON CLUSTER INSTANCE_ID TRACE_CONTEXT __BORNHOST
    BORN_TIMESTAMP CORRELATION_ID REPLY_TO_CLIENT TTL MSG_TYPE ARRIVE_TIME PUSH_REPLY_TIME POP_CK
    POP_CK_OFFSET 1ST_POP_TIME __SHARDINGKEY DLQ_ORIGIN_TOPIC DLQ_ORIGIN_MESSAGE_ID INNER_NUM
    INNER_BASE INNER_MULTI_DISPATCH INNER_MULTI_QUEUE_OFFSET TRANSFER_FLAG CORRECTION_FLAG MQ2_FLAG
    BUYER_ID REDIRECT PROPERTY_FORWARD_QUEUE_ID __CRC32#
"""
RESERVED = frozenset(_RESERVED_NAMES.split())


def is_writable(name: str, value: str) -> bool:
    """Whether a reader would get this entry back: not empty, and without the two separators."""
    both = name + value
    return bool(name and value) and NAME_END not in both and VALUE_END not in both


def encode_properties(properties: Mapping[str, str]) -> bytes:
    """Write a property string; raises `MessageError` for what cannot be written in one."""
    parts = []
    for name, value in properties.items():
        if not is_writable(name, value):
            raise MessageError(f"property {name!r} is empty or holds a separator character")
        parts.append(f"{name}\x01{value}\x02")
    data = "".join(parts).encode("utf-8", "replace")
    if len(data) > SIZE_MAX:
        raise MessageError(f"the properties take {len(data)} bytes; the limit is {SIZE_MAX}")
    return data


def decode_properties(data: bytes) -> dict[str, str]:
    """Read a property string as Java does: what is no entry is dropped, the last duplicate wins."""
    properties: dict[str, str] = {}
    for entry in data.decode("utf-8", "replace").split(VALUE_END):
        name, separator, value = entry.partition(NAME_END)
        if separator and name and value:
            properties[name] = value
    return properties
