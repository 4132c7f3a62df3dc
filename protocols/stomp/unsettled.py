"""What one connection was sent and has not settled, by delivery tag.

Tags count up by one over all subscriptions of the connection, as on an AMQP channel, and
RabbitMQ's `client` mode acknowledges up to a tag whatever the subscription: so the order of tags,
not of queue offsets, is what is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from protocols.stomp.errors import RequestRefusedError

if TYPE_CHECKING:
    from gateway.queues import Queue
    from protocols.stomp.subscription import Subscription


class Entry(NamedTuple):
    """One delivery."""

    subscription: Subscription
    queue: Queue
    offset: int


class Unsettled:
    """The unsettled deliveries of one connection; `entries` is in the order of its tags."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.last_tag = 0

    def check(self, tag: int) -> Entry:
        """The delivery of this tag; raises `RequestRefusedError` if there is none."""
        entry = self.entries.get(tag)
        if entry is None:
            raise RequestRefusedError(
                "precondition_failed",
                f"PRECONDITION_FAILED - unknown delivery tag {tag}",
                closing=True,
            )
        return entry

    def take(self, tag: int) -> list[Entry]:
        """Remove what an ACK or NACK of `tag` means: itself, or in `client` mode all up to it.

        Raises `RequestRefusedError` if the tag is unknown.
        """
        entry = self.check(tag)
        if not entry.subscription.cumulative:
            del self.entries[tag]
            entry.subscription.unsettled_count -= 1
            return [entry]
        tags = []
        for earlier in self.entries:
            if earlier > tag:
                break
            tags.append(earlier)
        taken = [self.entries.pop(earlier) for earlier in tags]
        for one in taken:
            one.subscription.unsettled_count -= 1
        return taken

    def settle(self, entries: Iterable[Entry]) -> None:
        """They are acknowledged."""
        for queue, offsets in self._by_queue(entries):
            first = end = offsets[0]
            for offset in offsets:
                if offset != end:
                    queue.settle(first, end)
                    first = offset
                end = offset + 1
            queue.settle(first, end)
            queue.wake()

    def release(self, entries: Iterable[Entry]) -> None:
        """They go back to their places, to be delivered again."""
        for queue, offsets in self._by_queue(entries):
            queue.release(offsets)
            queue.wake()

    def reject(self, entries: Iterable[Entry]) -> None:
        """They are not wanted."""
        for queue, offsets in self._by_queue(entries):
            queue.reject(offsets)
            queue.wake()

    def release_all(self) -> None:
        """The connection is over."""
        entries, self.entries = self.entries, {}
        self.release(entries.values())

    def _by_queue(self, entries: Iterable[Entry]) -> list[tuple[Queue, list[int]]]:
        """Sorted offsets per queue."""
        grouped: dict[Queue, list[int]] = {}
        for entry in entries:
            offsets = grouped.get(entry.queue)
            if offsets is None:
                grouped[entry.queue] = [entry.offset]
            else:
                offsets.append(entry.offset)
        return [(queue, sorted(offsets)) for queue, offsets in grouped.items()]
