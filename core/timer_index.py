"""Which timers there are, in the order of their times: the next ones in memory, the rest in files.

What is added goes to memory. When that is full, all but the nearest go to a file of their own
(`timer_run`), of which a block comes back when its time has come. So memory is bounded however many
timers wait, and a timer that fires soon never touches a file. Nothing here reads the log.

Cancelling a timer needs no search: its key says in which block of each file it would be.

A timer is *held* from when it is added until it is released; the log keeps what is held. What
belongs to an owner that was dropped is let go at once, and passed over when its time comes.

The files are derived data. One that is used up stays until a checkpoint which does not name it is
on the disk (`spent`, `forget`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Iterable, Iterator
from heapq import heapify, heappop, heappush, merge
from pathlib import Path

import msgspec
from twisted.logger import Logger

from core.errors import CorruptRecordError
from core.group_commit import open_directory
from core.timer_run import OWNER_MASK, Entry, Key, TimerRun, Value, decode_entries, encode_entries

_GRANULE_BITS = 20  # What is held is counted per MiB of the log.
_OFFSET_MASK = (1 << 64) - 1


class TimersCheckpoint(msgspec.Struct, array_like=True):
    """Timers as of one log offset: those in memory, and files with position and cancelled bits.

    `held` is a count by owner and MiB of the log.
    """

    entries: bytes = b""
    runs: list[tuple[int, int, bytes]] = []
    held: dict[int, dict[int, int]] = {}


class TimerIndex:
    """All timers of one data folder."""

    _log = Logger()

    def __init__(self, directory: Path, memory_count_max: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._memory_count_max = memory_count_max
        self._near: dict[Key, Value] = {}
        self._heap: list[Key] = []  # All keys in memory, and some that are no more.
        self._runs: list[TimerRun] = []
        self._next_keys: list[tuple[Key, TimerRun]] = []  # A heap: one of each run not used up.
        self._next_number = 1
        self._held: dict[int, dict[int, int]] = {}  # By owner, then MiB of the log.
        self._counts: dict[int, int] = {}  # By owner.
        self._spent: list[TimerRun] = []
        self._unsynced: list[Path] = []

    # Owners

    def add_owner(self, owner: int) -> None:
        """From now on, timers may be this owner's."""
        self._held.setdefault(owner, {})
        self._counts.setdefault(owner, 0)

    def drop_owner(self, owner: int) -> None:
        """Drop an owner and its timers."""
        self._held.pop(owner, None)
        self._counts.pop(owner, None)

    @property
    def owners(self) -> Container[int]:
        """Whose timers may be."""
        return self._held

    def count(self, owner: int) -> int:
        """How many timers an owner has, with those that are firing."""
        return self._counts.get(owner, 0)

    # Timers

    def add(self, key: Key, value: Value) -> None:
        """A timer that was appended to the log; it is held until it is released."""
        owner = value & OWNER_MASK
        granules = self._held.get(owner)
        if granules is None:
            return
        granule = (key & _OFFSET_MASK) >> _GRANULE_BITS
        granules[granule] = granules.get(granule, 0) + 1
        self._counts[owner] += 1
        self.give_back(((key, value),))
        if len(self._near) > self._memory_count_max:
            self._spill()

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Timers that were popped wait again after all."""
        for key, value in entries:
            self._near[key] = value
            heappush(self._heap, key)

    @property
    def next_ms(self) -> int | None:
        """When the next timer fires, or earlier; None if there is none."""
        while self._heap and self._heap[0] not in self._near:
            heappop(self._heap)
        keys = self._heap[:1] + [key for key, _ in self._next_keys[:1]]
        return min(keys) >> 64 if keys else None

    def pop(self, until_ms: int, count: int) -> list[Entry]:
        """At most `count` timers that fire until then, in order; they stay held."""
        limit = (until_ms + 1) << 64
        popped: list[Entry] = []
        heap, near = self._heap, self._near
        while len(popped) < count:
            first = min(heap[0] if heap else limit, limit)
            if self._next_keys and self._next_keys[0][0] < first:
                self._load()  # A file may have something earlier than memory has.
                heap, near = self._heap, self._near
                continue
            if first == limit:
                break
            value = near.pop(heappop(heap), None)
            if value is not None and value & OWNER_MASK in self._held:
                popped.append((first, value))
        return popped

    def find(self, key: Key, owners: Container[int]) -> Value | None:
        """The timer of this key, if it waits and is one of these owners'."""
        value = self._near.get(key)
        if value is None:
            found = self._find_in_files(key)
            value = None if found is None else found[2]
        return value if value is not None and value & OWNER_MASK in owners else None

    def take(self, key: Key) -> bool:
        """Cancel a timer, and release it; False if there is none of that key."""
        value = self._near.pop(key, None)
        if value is None:
            found = self._find_in_files(key)
            if found is None:
                return False
            run, number, value = found
            run.cancel(number)
        self.release(((key, value),))
        return True

    def release(self, entries: Iterable[Entry]) -> None:
        """Timers are done with: the log need not keep them."""
        for key, value in entries:
            owner = value & OWNER_MASK
            granules = self._held.get(owner)
            if granules is None:
                continue
            granule = (key & _OFFSET_MASK) >> _GRANULE_BITS
            granules[granule] -= 1
            if not granules[granule]:
                del granules[granule]
            self._counts[owner] -= 1

    def entries(self, after: Key, owners: Container[int]) -> Iterator[Entry]:
        """The timers of these owners behind this key, in order; not to be used after a change."""
        near = sorted(item for item in self._near.items() if item[0] > after)
        for key, value in merge(near, *(self._readable(run, after) for run in self._runs)):
            if value & OWNER_MASK in owners:
                yield key, value

    def refers_to(self, start: int, end: int) -> bool:
        """Is a timer held that lies in the log between these offsets, or close by?"""
        first, last = start >> _GRANULE_BITS, (end - 1) >> _GRANULE_BITS
        return any(
            first <= granule <= last for granules in self._held.values() for granule in granules
        )

    # Files

    def begin_sync(self) -> list[int]:
        """Descriptors of the files to flush, and of their folder."""
        if not self._unsynced:
            return []
        descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in self._unsynced]
        self._unsynced.clear()
        return [*descriptors, open_directory(self._directory)]

    def checkpoint(self, firing: Iterable[Entry]) -> TimersCheckpoint:
        """Everything as of now; `firing` are those that were popped, and may have to come back."""
        return TimersCheckpoint(
            encode_entries([*firing, *self._near.items()]),
            [(run.number, run.position, run.cancelled) for run in self._runs],
            {owner: dict(granules) for owner, granules in self._held.items()},
        )

    def restore(self, saved: TimersCheckpoint, owners: Iterable[int]) -> None:
        """Begin with a checkpoint; `owners` are those that still exist.

        Raises `StoreFormatError` if a file is damaged.
        """
        for owner in owners:
            self._held[owner] = dict(saved.held.get(owner, {}))
            self._counts[owner] = sum(self._held[owner].values())
        named = {f"{number:010d}" for number, _, _ in saved.runs}
        for path in self._directory.iterdir():
            if path.name not in named:
                path.unlink()
        for number, position, cancelled in saved.runs:
            self._add_run(TimerRun(self._path(number), position, cancelled))
            self._next_number = max(self._next_number, number + 1)
        self._near = dict(decode_entries(saved.entries))
        self._heap = list(self._near)
        heapify(self._heap)

    def spent(self) -> list[TimerRun]:
        """The files that are used up; to be forgotten when the next checkpoint is on the disk."""
        return list(self._spent)

    def forget(self, spent: Collection[TimerRun]) -> None:
        """Delete these files, which no checkpoint names any more."""
        for run in spent:
            run.delete()
        self._spent = [run for run in self._spent if run not in spent]

    def _add_run(self, run: TimerRun) -> None:
        self._runs.append(run)
        if (key := run.next_key) is not None:
            heappush(self._next_keys, (key, run))

    def _find_in_files(self, key: Key) -> tuple[TimerRun, int, Value] | None:
        for run in self._runs:
            try:
                found = run.find(key)
            except CorruptRecordError as error:
                self._log.error("a timer cannot be looked for: {error}", error=error)
                continue
            if found is not None:
                return run, *found
        return None

    def _readable(self, run: TimerRun, after: Key) -> Iterator[Entry]:
        """What a file has behind a key, up to where it is damaged."""
        try:
            yield from run.entries(after)
        except CorruptRecordError as error:
            self._log.error("timers cannot be seen: {error}", error=error)

    def _load(self) -> None:
        """The next block of the file that is next comes to memory."""
        _, run = heappop(self._next_keys)
        try:
            self.give_back(run.load())
        except CorruptRecordError as error:
            self._log.error("timers are lost: {error}", error=error)
        if len(self._near) > 2 * self._memory_count_max:
            self._spill()
        if (key := run.next_key) is not None:
            heappush(self._next_keys, (key, run))
        else:
            self._runs.remove(run)
            self._spent.append(run)

    def _spill(self) -> None:
        """All but the nearest timers go to a new file."""
        keys = sorted(self._near)
        kept = keys[: self._memory_count_max // 4]
        path = self._path(self._next_number)
        near = self._near
        entries = [(key, near[key]) for key in keys[len(kept) :]]
        run = TimerRun.write(path, entries)
        self._next_number += 1
        self._unsynced.append(path)
        self._add_run(run)
        self._near = {key: near[key] for key in kept}
        self._heap = kept  # Sorted, it is a heap.

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:010d}"
