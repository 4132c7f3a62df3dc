"""What the progress journal says of messages by their places in the log.

That is said of records behind the checkpoint only. If power loss took more of the log than of the
journal, what is said of the records that are gone must not be believed of those that get their
places; so that is written down (`Kind.VOID`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from core.progress import Entry, Kind, Progress


class Places(NamedTuple):
    """Messages of one record, by their places in it."""

    delivered: set[int]
    settled: set[int]


class RecordProgress:
    """Collects it from the journal, and gives it to whoever reads the log."""

    KINDS = (Kind.DELIVERED_IN_RECORD, Kind.SETTLED_IN_RECORD)

    def __init__(self) -> None:
        self._entries: defaultdict[int, list[Entry]] = defaultdict(list)  # By log offset.

    def apply(self, entry: Entry) -> None:
        """What the journal says: an entry of these kinds."""
        self._entries[entry.id].append(entry)

    def take(self, log_offset: int) -> Places | None:
        """What was said of a record; None if nothing was."""
        entries = self._entries.pop(log_offset, None)
        if entries is None:
            return None
        places = Places(set(), set())
        for entry in entries:
            is_settled = entry.kind == Kind.SETTLED_IN_RECORD
            of_kind = places.settled if is_settled else places.delivered
            of_kind.update(range(entry.a, entry.a + entry.b))
        return places

    def void(self, log_end: int) -> bool:
        """Forget what was said of records behind this end of the log; was there any?"""
        gone = [log_offset for log_offset in self._entries if log_offset >= log_end]
        for log_offset in gone:
            del self._entries[log_offset]
        return bool(gone)

    def finish(self, log_end: int, progress: Progress) -> None:
        """The log is read, and ends here."""
        if self.void(log_end):
            progress.void(log_end)
