"""What the progress journal says of messages by their places in the log.

That is said of records behind the checkpoint only. If power loss took more of the log than of the
journal, what is said of the records that are gone must not be believed of those that get their
places; so that is written down (`Kind.VOID`).

A record is longer than its messages are many. So the sum of its log offset and a message's place in
it is no other message's: what was said is two sets of these, however much was said.
"""

from __future__ import annotations

from typing import NamedTuple

from core.offset_set import OffsetSet
from core.progress import Entry, Kind, Progress


class Places(NamedTuple):
    """Messages of one record, by their places in it."""

    delivered: set[int]
    settled: set[int]


class RecordProgress:
    """Collects it from the journal, and gives it to whoever reads the log."""

    KINDS = (Kind.DELIVERED_IN_RECORD, Kind.SETTLED_IN_RECORD)

    def __init__(self) -> None:
        self._delivered = OffsetSet()
        self._settled = OffsetSet()

    def apply(self, entry: Entry) -> None:
        """What the journal says: an entry of these kinds."""
        of_kind = self._settled if entry.kind == Kind.SETTLED_IN_RECORD else self._delivered
        start = entry.id + entry.a
        of_kind.add(start, start + entry.b)

    def find(self, log_offset: int, count: int) -> Places | None:
        """What was said of a record of so many messages; None if nothing was."""
        if not self._delivered and not self._settled:
            return None
        places = Places(set(), set())
        for offsets, of_kind in (
            (self._delivered, places.delivered),
            (self._settled, places.settled),
        ):
            for start, end in offsets.runs(log_offset, log_offset + count):
                of_kind.update(range(start - log_offset, end - log_offset))
        return places if any(places) else None

    def void(self, log_end: int) -> bool:
        """Forget what was said of records behind this end of the log; was there any?"""
        end = max(self._delivered.end, self._settled.end)
        self._delivered.discard(log_end, end)
        self._settled.discard(log_end, end)
        return log_end < end

    def finish(self, log_end: int, progress: Progress) -> None:
        """The log is read, and ends here."""
        if self.void(log_end):
            progress.void(log_end)
