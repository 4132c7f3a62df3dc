"""What can be seen of a queue's messages, wherever they are and whatever became of them.

Nothing changes by it. Offsets may have gaps; a message whose record cannot be read is left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from core.consume_queue import ConsumeQueue
from core.store import Store

TAKE_SIZE_MAX = 256 << 10  # Stop taking when this many bytes were taken: a turn is short.

# The offset of the first message, consecutive messages, whether all were delivered before.
# A plain tuple: one is made for every run that is delivered.
Span: TypeAlias = "tuple[int, Sequence[Any], bool]"

# The offset of the first message, consecutive messages, when all of them were stored in ms.
Head: TypeAlias = "tuple[int, Sequence[Any], int]"


class ReadableQueue(ABC):
    """A queue as its readers know it: an index into the store."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    @abstractmethod
    def index(self) -> ConsumeQueue:
        """Where the messages are."""

    def look(self, offset: int, count: int) -> tuple[list[Span], int]:
        """Messages from `offset` on, at most `count`, and where to go on; changes nothing.

        Fewer if they are large.
        """
        spans: list[Span] = []
        index = self.index
        offset = max(offset, index.min_offset)
        size = 0
        while count > 0 and size < TAKE_SIZE_MAX:
            run = index.run_at(offset)
            if run is None:
                return spans, max(offset, index.max_offset)
            start, log_offset, first, held = run
            wanted = min(held, count)
            messages, messages_size = self._store.fetch(log_offset, first, wanted)
            if messages_size > TAKE_SIZE_MAX and wanted > 1:
                wanted = max(1, wanted * TAKE_SIZE_MAX // messages_size)
                messages = messages[:wanted]
            if messages:
                spans.append((start, messages, False))
            count -= len(messages)
            size += messages_size
            offset = start + wanted
        return spans, offset

    def read(self, offset: int, count: int) -> list[tuple[int, Any]]:
        """The messages of `look`, each with its offset."""
        spans, _ = self.look(offset, count)
        return [found for start, messages, _ in spans for found in enumerate(messages, start)]

    def run_sizes(self, offset: int, count: int) -> tuple[list[tuple[int, int]], int]:
        """Where at most `count` runs from `offset` on end, how large each is, and where to go on.

        A run that cannot be read has no size.
        """
        sizes: list[tuple[int, int]] = []
        while len(sizes) < count and (run := self.index.run_at(offset)) is not None:
            start, log_offset, first, held = run
            offset = start + held
            sizes.append((offset, self._store.size(log_offset, first, held)))
        return sizes, offset

    def heads(self, offset: int, count: int) -> Iterator[Head]:
        """Look at messages from `offset` on, at most `count`, with when they were stored."""
        offset = max(offset, self.index.min_offset)
        while count > 0 and (run := self.index.run_at(offset)) is not None:
            start, log_offset, first, held = run
            messages, _ = self._store.fetch(log_offset, first, min(held, count))
            yield start, messages, self._store.timestamp_ms(log_offset)
            offset = start + min(held, count)
            count -= len(messages)

    def location(self, offset: int) -> tuple[int, int]:
        """Where a held message is: its log offset, and its store timestamp in ms.

        Raises `OffsetOutOfRangeError` if no message is held at `offset`.
        """
        index = self.index
        index.check(offset)
        run = index.run_at(offset)
        assert run is not None
        _, log_offset, first, _ = run
        message_offset = self._store.message_offset(log_offset, first)
        return message_offset, self._store.timestamp_ms(log_offset)

    def search_timestamp(self, timestamp_ms: int) -> int:
        """The queue offset of the first message stored at that time or later."""
        index = self.index
        low, high = index.min_offset, index.max_offset
        while low < high:
            middle = (low + high) // 2
            run = index.run_at(middle)
            if run is None or self._store.timestamp_ms(run[1]) >= timestamp_ms:
                high = middle
            else:
                low = middle + 1
        return low
