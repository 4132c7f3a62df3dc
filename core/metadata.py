"""What exists: small documents by kind and key, kept in a journal.

Queues, routes, groups, and whatever the layers above want to remember (exchanges, bindings, users)
are documents. Each change is one event: `[kind, key, document]`, the document None for a deletion.
A file that is mostly history is replaced by one that holds what there is: at a start at once, later
as `compacting` does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from core.errors import StoreFormatError
from core.group_commit import open_directory, sync_files
from core.journal import Journal, encode_event

_COMPACT_SIZE_MIN = 1 << 20
_DOCUMENTS_AT_ONCE = 1000


def _plain(value: object) -> float:
    """Numbers that are more than their value elsewhere are only that here."""
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    raise TypeError(f"a document cannot hold {value!r}")


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode = msgspec.msgpack.Decoder(tuple[str, str, Any]).decode


class Metadata:
    """All documents, in memory and in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._documents: dict[str, dict[str, Any]] = {}
        self._journal = Journal(path)
        self.when_long: Callable[[], None] = self._compact  # Is called when it is mostly history.
        self._fresh: Journal | None = None  # What is to replace the file; changes go to both.
        self._unwritten: Iterator[tuple[str, str]] = iter(())  # Of the documents, to that one.
        self._is_replacing = False  # Perhaps the new file has the name already.
        event_count = 0
        for event in self._journal.replay(skip_damage=True):
            event_count += 1
            try:
                self._apply(*_decode(event))
            except msgspec.MsgspecError as error:
                raise StoreFormatError(f"{path}: an event cannot be read: {error}") from error
        self.damage = self._journal.damage
        if self._journal.is_torn and not self._journal.size:
            self.damage = [(0, path.stat().st_size)]  # Of which nothing can be read at all.
        count = sum(map(len, self._documents.values()))
        self._compact_at = self._limit(self._journal.size * count // max(event_count, 1))

    def mend(self) -> None:
        """Let there be changes: until then the file stays as it was found.

        What is torn is cut off, and a file that is damaged or mostly history replaced.
        """
        if self.damage:
            self._keep_damaged()
            self._compact()
        elif self._journal.size >= self._compact_at:
            self._compact()
        else:
            self._journal.cut()

    @property
    def is_empty(self) -> bool:
        """Is there nothing at all, as before the first start?"""
        return not any(self._documents.values())

    @property
    def is_compacting(self) -> bool:
        """Is there a new file that is to replace the old one?"""
        return self._fresh is not None

    def items(self, kind: str) -> dict[str, Any]:
        """All documents of a kind, by key. Not to be changed."""
        return self._documents.get(kind, {})

    def put(self, kind: str, key: str, document: Any) -> None:
        """Create or replace a document (anything that msgpack can say, but None).

        Raises `OSError` if the disk refuses; nothing is changed then.
        """
        assert document is not None
        self._write(kind, key, document)

    def delete(self, kind: str, key: str) -> None:
        """Forget a document."""
        self.delete_all(kind, (key,))

    def delete_all(self, kind: str, keys: Iterable[str]) -> None:
        """Forget documents, with one write for all of them. Raises `OSError` as `put` does."""
        documents = self.items(kind)
        keys = [key for key in keys if key in documents]
        if keys:
            self._append(b"".join(encode_event(_encode((kind, key, None))) for key in keys))
            for key in keys:
                del self._documents[kind][key]
            self._compact_if_long()

    def begin_sync(self) -> list[int]:
        """Duplicates of the file descriptors, if there is something to flush."""
        descriptors = self._journal.begin_sync()
        if self._fresh is not None:
            descriptors += self._fresh.begin_sync()
        return descriptors

    def close(self) -> None:
        """Flush and close."""
        if self._fresh is not None and self._is_replacing:
            self._fresh.close()  # Whichever has the name now, both say the same.
            self._fresh = None
        self.give_up_compaction()
        self._journal.close()

    # Compaction

    def begin_compaction(self) -> None:
        """Begin a new file. Raises `OSError`."""
        fresh = self._fresh_path
        fresh.unlink(missing_ok=True)
        self._fresh = Journal(fresh)
        keys = [(kind, list(documents)) for kind, documents in self._documents.items()]
        self._unwritten = iter([(kind, key) for kind, some in keys for key in some])

    def compact_some(self, count: int) -> bool:
        """Write so many documents to the new file; are they all there? Raises `OSError`."""
        if self._fresh is None:
            return True
        some = list(islice(self._unwritten, count))
        self._fresh.append(
            b"".join(
                encode_event(_encode((kind, key, self._documents[kind][key])))
                for kind, key in some
                if key in self._documents[kind]
            )
        )
        return len(some) < count

    def begin_replacing(self) -> bool:
        """All is on the disk: `replace_file` comes next. False if the compaction was given up."""
        self._is_replacing = self._fresh is not None
        return self._is_replacing

    def replace_file(self) -> None:
        """Give the new file the name of the old one. Blocks; nothing else here may."""
        os.replace(self._fresh_path, self._path)
        sync_directory(self._path.parent)

    @property
    def is_replaced(self) -> bool:
        """Has the new file the name?"""
        return not self._fresh_path.exists()

    def finish_compaction(self) -> None:
        """The new file has the name, whatever happens: the old one is not needed any more."""
        assert self._fresh is not None
        for descriptor in self._journal.leave():
            os.close(descriptor)
        self._journal, self._fresh, self._is_replacing = self._fresh, None, False
        self._compact_at = self._limit(self._journal.size)

    def give_up_compaction(self) -> None:
        """The old file stays, for now."""
        fresh, self._fresh, self._is_replacing = self._fresh, None, False
        if fresh is not None:
            for descriptor in fresh.leave():
                os.close(descriptor)
            self._fresh_path.unlink(missing_ok=True)
            self._compact_at = 2 * self._journal.size

    # The rest is private

    @property
    def _fresh_path(self) -> Path:
        return self._path.with_suffix(".new")

    def _write(self, kind: str, key: str, document: Any) -> None:
        self._append(encode_event(_encode((kind, key, document))))
        self._apply(kind, key, document)
        self._compact_if_long()

    def _append(self, data: bytes) -> None:
        """To the file, and to the one that is to replace it. Raises `OSError`."""
        size = self._journal.size
        self._journal.append(data)
        if self._fresh is not None:
            try:
                self._fresh.append(data)
            except OSError:
                if self._is_replacing:  # Either may be the one that a restart reads.
                    self._journal.retract(size)
                    raise
                self.give_up_compaction()

    def _apply(self, kind: str, key: str, document: Any) -> None:
        documents = self._documents.setdefault(kind, {})
        if document is None:
            documents.pop(key, None)
        else:
            documents[key] = document

    def _compact_if_long(self) -> None:
        if self._journal.size >= self._compact_at and self._fresh is None:
            self.when_long()

    def _limit(self, size: int) -> int:
        """The size at which a file is mostly history, if without history it has this one."""
        return max(_COMPACT_SIZE_MIN, 2 * size)

    def _keep_damaged(self) -> None:
        """Let the file stay beside the one that replaces it, for whoever can make sense of it."""
        kept = self._path.with_suffix(".damaged")
        kept.unlink(missing_ok=True)
        os.link(self._path, kept)

    def _compact(self) -> None:
        self.begin_compaction()
        assert self._fresh is not None
        while not self.compact_some(_DOCUMENTS_AT_ONCE):
            pass
        sync_files(self._fresh.begin_sync())
        self.replace_file()
        self.finish_compaction()


def sync_directory(directory: Path) -> None:
    """Make creations and renames in a folder durable."""
    descriptor = open_directory(directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
