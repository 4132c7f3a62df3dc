"""What the progress journal says of messages by their places in the log.

That is said of records behind the checkpoint only. If power loss took more of the log than of the
journal, what is said of the records that are gone must not be believed of those that get their
places; so that is written down (`Kind.VOID`).

A record is longer than its messages are many. So the sum of its log offset and a message's place in
it is no other message's: what was said is two sets of these, however much was said.
"""

from __future__ import annotations

from core.offset_set import OffsetSet
from core.progress import Entry, Kind, Progress


class RecordProgress:
    """Collects it from the journal: `delivered`, and `settled`, are sets of such sums."""

    KINDS = (Kind.DELIVERED_IN_RECORD, Kind.SETTLED_IN_RECORD)

    def __init__(self) -> None:
        self.delivered = OffsetSet()
        self.settled = OffsetSet()

    def apply(self, entry: Entry) -> None:
        """What the journal says: an entry of these kinds."""
        of_kind = self.settled if entry.kind == Kind.SETTLED_IN_RECORD else self.delivered
        start = entry.id + entry.a
        of_kind.add(start, start + entry.b)

    def void(self, log_end: int) -> bool:
        """Forget what was said of records behind this end of the log; was there any?"""
        end = max(self.delivered.end, self.settled.end)
        self.delivered.discard(log_end, end)
        self.settled.discard(log_end, end)
        return log_end < end

    def finish(self, log_end: int, progress: Progress) -> None:
        """The log is read, and ends here."""
        if self.void(log_end):
            progress.void(log_end)
