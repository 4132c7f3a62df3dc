"""The progress journal: what was delivered and settled, per queue, since the last checkpoint.

Entries of one turn are written at once, as one event of the journal; 25 bytes each:

    | kind (1) | id of the queue or group (8) | a (8) | b (8) |

    SETTLED    queue offsets a up to, not including, b are done with
    DELIVERED  behind a nothing was delivered yet
    GAP        a up to b were given to messages that no restart brings back
    COMMITTED  the offset of another group is a
    FIRED      of the timers in the log below b, all whose fire time is below the id, or whose fire
               time it is and whose log offset is at most a, are done with
    CANCELLED  the timer with fire time a and log offset b is done with
    VOID       power loss took the log from a on: what was said of places there is void
    RETURNED   the message at queue offset a came back for the b-th time

and of messages of one record of the log, that begins at the log offset in place of the id, each of
which went to one queue:

    DELIVERED_IN_RECORD  b messages from place a on were delivered
    SETTLED_IN_RECORD    b messages from place a on are done with
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from core.group_commit import open_directory, sync_files
from core.journal import Journal, encode_event


class Kind(IntEnum):
    """What an entry says; the numbers are on disk."""

    SETTLED = 1
    DELIVERED = 2
    GAP = 3
    COMMITTED = 4
    FIRED = 5
    CANCELLED = 6
    VOID = 7
    RETURNED = 8
    DELIVERED_IN_RECORD = 9
    SETTLED_IN_RECORD = 10


_ENTRY = Struct(">BQQQ")
assert _ENTRY.size == 25
_pack = _ENTRY.pack
# Those that are written for every message, as plain numbers: looking up a member takes longer.
_SETTLED, _DELIVERED = int(Kind.SETTLED), int(Kind.DELIVERED)


class Entry(NamedTuple):
    """One fact; see the module's docstring."""

    kind: int
    id: int
    a: int
    b: int


class Progress:
    """Collects the entries of a turn; `write` appends them to the current file.

    The files are numbered: a checkpoint begins a new one, and names it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.first_number = min(self._numbers(), default=0)
        self.number = max(self._numbers(), default=0)
        self.is_missing = False  # Was the file with which the replay began not there?
        self.damage: list[tuple[int, int]] = []  # From where to where, in the file that has it.
        self._journal: Journal | None = None
        self._left: list[int] = []  # Descriptors of files that were left before they were flushed.
        self._entries: list[bytes] = []
        self._delivered: dict[int, int] = {}  # By queue id.
        self._gaps: dict[int, tuple[int, int]] = {}
        self._is_new = False  # Is the name of the current file not durable yet?

    @property
    def size(self) -> int:
        """How large the current file is, in bytes."""
        return self._journal.size if self._journal else 0

    @property
    def was_left(self) -> bool:
        """Is there a file that a checkpoint waits for, and that is not flushed?"""
        return bool(self._left)

    @property
    def is_dirty(self) -> bool:
        """Was something written that is not flushed?"""
        return self._journal is not None and self._journal.is_dirty

    def replay(self, first_number: int) -> Iterator[Entry]:
        """Every entry of the files from `first_number` on, oldest first.

        The newest file is then open to append to; older ones than `first_number` are deleted.
        Behind what is torn or damaged nothing counts, nor in later files: offsets would not be what
        they were.
        """
        self.number = max(self.number, first_number)
        was_torn = False
        self.is_missing = first_number not in self._numbers()
        for number in self._numbers():
            if number < first_number:
                self._path(number).unlink()
                continue
            if was_torn:
                os.truncate(self._path(number), 0)
            journal = Journal(self._path(number))
            for event in journal.replay():
                for fields in _ENTRY.iter_unpack(event):
                    yield Entry(*fields)
            self.damage += journal.damage
            was_torn |= journal.is_torn
            journal.cut()
            if number == self.number:
                self._journal = journal
            else:
                journal.close()
        if self._journal is None:
            self._begin(self.number)

    def settled(self, queue_id: int, start: int, end: int) -> None:
        """Offsets of a queue are done with."""
        self._entries.append(_pack(_SETTLED, queue_id, start, end))

    def delivered(self, queue_id: int, end: int) -> None:
        """A queue delivered something for the first time; nothing from `end` on ever was."""
        self._delivered[queue_id] = end

    def settled_in_record(self, log_offset: int, first: int, count: int) -> None:
        """Messages of a record, of one queue each, are done with."""
        self._entries.append(_pack(Kind.SETTLED_IN_RECORD, log_offset, first, count))

    def delivered_in_record(self, log_offset: int, first: int, count: int) -> None:
        """Messages of a record, of one queue each, were delivered for the first time."""
        self._entries.append(_pack(Kind.DELIVERED_IN_RECORD, log_offset, first, count))

    def gap(self, queue_id: int, start: int, end: int) -> None:
        """Offsets were given to transient messages."""
        pending = self._gaps.get(queue_id)
        if pending is not None and pending[1] == start:
            start = pending[0]
        elif pending is not None:
            self._entries.append(_ENTRY.pack(Kind.GAP, queue_id, *pending))
        self._gaps[queue_id] = (start, end)

    def committed(self, group_id: int, offset: int) -> None:
        """A group's offset on a queue that is not its own."""
        self._entries.append(_ENTRY.pack(Kind.COMMITTED, group_id, offset, 0))

    def timers_fired(self, fire_ms: int, log_offset: int, log_end: int) -> None:
        """All timers up to this one are done with, of those in the log below `log_end`."""
        self._entries.append(_ENTRY.pack(Kind.FIRED, fire_ms, log_offset, log_end))

    def timer_cancelled(self, fire_ms: int, log_offset: int) -> None:
        """One timer is done with."""
        self._entries.append(_ENTRY.pack(Kind.CANCELLED, 0, fire_ms, log_offset))

    def void(self, log_end: int) -> None:
        """The log ends earlier than it did: forget what was said of places behind its end."""
        self._entries.append(_ENTRY.pack(Kind.VOID, 0, log_end, 0))

    def returned(self, queue_id: int, offset: int, count: int) -> None:
        """A message came back for the `count`-th time."""
        self._entries.append(_ENTRY.pack(Kind.RETURNED, queue_id, offset, count))

    def write(self) -> None:
        """Append what was collected; called at the end of each turn."""
        if self._gaps:
            for queue_id, (start, end) in self._gaps.items():
                self._entries.append(_ENTRY.pack(Kind.GAP, queue_id, start, end))
            self._gaps.clear()
        if self._delivered:
            self._entries += [_pack(_DELIVERED, id, end, 0) for id, end in self._delivered.items()]
            self._delivered.clear()
        if self._entries:
            assert self._journal is not None
            self._journal.append(encode_event(b"".join(self._entries)))
            self._entries.clear()

    def begin_next(self) -> int:
        """Go on in a new file, for a checkpoint made now; return its number.

        Raises `OSError` if the disk refuses; then the old one goes on.
        """
        self.write()
        old = self._journal
        self._begin(self.number + 1)
        if old is not None:
            self._left += old.leave()
        return self.number

    def delete_before(self, number: int) -> None:
        """Forget the files that a checkpoint made superfluous."""
        for old in self._numbers():
            if old < number:
                self._path(old).unlink()

    def begin_sync(self) -> list[int]:
        """Descriptors to flush: of files to which something was written, of a new one's folder."""
        descriptors, self._left = self._left, []
        if self._journal is not None:
            descriptors += self._journal.begin_sync()
        if self._is_new:
            self._is_new = False
            descriptors.append(open_directory(self._directory))
        return descriptors

    def close(self) -> None:
        """Write what is left, flush and close."""
        self.write()
        sync_files(self._left)
        if self._journal is not None:
            self._journal.close()

    def _begin(self, number: int) -> None:
        self._journal = Journal(self._path(number))
        self.number = number
        self._is_new = True
        for _ in self._journal.replay():
            pass
        self._journal.cut()

    def _numbers(self) -> list[int]:
        return sorted(int(path.suffix[1:]) for path in self._directory.glob("progress.*"))

    def _path(self, number: int) -> Path:
        return self._directory / f"progress.{number:010d}"
