"""What pops and pulls answer with: messages of a group, as records back to back."""

from __future__ import annotations

from collections.abc import Sequence

from rosettamq.remoting.ids import Address

from .filters import MessageFilter
from .language import Place, to_record
from .progress import Source, Taken


def record_of(topic: str, taken: Taken, store_host: Address) -> bytes:
    """Write a message of a lane as the record that a native reader expects."""
    lane, offset = taken.lane, taken.offset
    place = Place(topic, offset, *lane.location(offset), store_host, lane.level)
    return to_record(taken.message, place, taken.times)


def collect(
    topic: str,
    source: Source,
    count: int,
    message_filter: MessageFilter,
    store_host: Address,
    size_max: int,
) -> tuple[Sequence[Taken], bytes]:
    """Take at most `count` messages, and no further one once the records have `size_max` bytes."""
    taken: list[Taken] = []
    records: list[bytes] = []
    size = 0
    while len(taken) < count and size < size_max:
        entries = source.take(1, message_filter)
        if not entries:
            break
        taken += entries
        records.append(record_of(topic, entries[0], store_host))
        size += len(records[-1])
    return taken, b"".join(records)
