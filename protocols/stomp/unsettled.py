"""What one connection was sent and has not settled, by delivery tag.

Tags count up by one over all subscriptions of the connection, as on an AMQP channel, and
RabbitMQ's `client` mode acknowledges up to a tag whatever the subscription: so the order of tags,
not of queue offsets, is what is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from protocols.stomp.errors import RequestRefusedError

if TYPE_CHECKING:
    from gateway.queues.consumer import Stamp
    from protocols.stomp.subscription import Subscription


class Source(Protocol):
    """Where deliveries come from: a queue, or what stands for one (`reading`)."""

    name: str

    @property
    def stamp(self) -> Stamp | None:
        """What it adds to the headers of a delivery."""

    def settle(self, start: int, end: int) -> None:
        """These are acknowledged."""

    def release(self, offsets: Iterable[int]) -> None:
        """These go back to their places, to be delivered again."""

    def reject(self, offsets: Iterable[int]) -> None:
        """These are not wanted."""

    def wake(self) -> None:
        """There is credit again."""

    def unsubscribe(self, consumer: Subscription) -> None:
        """It takes no more."""


class Entry(NamedTuple):
    """One delivery."""

    subscription: Subscription
    queue: Source
    offset: int


class Unsettled:
    """The unsettled deliveries of one connection; `entries` is in the order of its tags.

    What is cumulative covers all subscriptions of the connection, as in RabbitMQ; or, as STOMP has
    it, only that of the tag.
    """

    def __init__(self, *, covers_all: bool = True) -> None:
        self._covers_all = covers_all
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
        taken = [self.entries.pop(earlier) for earlier in self._covered(tag, entry)]
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

    def reject(self, tag: int) -> None:
        """What `take` would remove is not wanted.

        Raises `RequestRefusedError` if the tag is unknown. Raises `OSError` if the disk refuses a
        dead letter; what is not rejected by then is unsettled still, and `tag` means it again.
        """
        entry = self.check(tag)
        tags = self._covered(tag, entry) if entry.subscription.cumulative else [tag]
        by_queue: dict[Source, list[int]] = {}
        for each in tags:
            by_queue.setdefault(self.entries[each].queue, []).append(each)
        by_queue[entry.queue] = by_queue.pop(entry.queue)  # Last: `tag` is there until then.
        for queue, theirs in by_queue.items():
            queue.reject(sorted(self.entries[each].offset for each in theirs))
            for each in theirs:
                self.entries.pop(each).subscription.unsettled_count -= 1
            queue.wake()

    def release_all(self) -> None:
        """The connection is over."""
        entries, self.entries = self.entries, {}
        self.release(entries.values())

    def _covered(self, tag: int, entry: Entry) -> list[int]:
        """The tags that a cumulative one means; `entry` is its delivery."""
        tags = []
        for earlier, other in self.entries.items():
            if earlier > tag:
                break
            if self._covers_all or other.subscription is entry.subscription:
                tags.append(earlier)
        return tags

    def _by_queue(self, entries: Iterable[Entry]) -> list[tuple[Source, list[int]]]:
        """Sorted offsets per queue."""
        grouped: dict[Source, list[int]] = {}
        for entry in entries:
            offsets = grouped.get(entry.queue)
            if offsets is None:
                grouped[entry.queue] = [entry.offset]
            else:
                offsets.append(entry.offset)
        return [(queue, sorted(offsets)) for queue, offsets in grouped.items()]
