"""What exists: small documents by kind and key, kept in a journal.

Queues, routes, groups, and whatever the layers above want to remember (exchanges, bindings, users)
are documents. Each change is one event: `[kind, key, document]`, the document None for a deletion.
A file that is mostly history is replaced by one that holds what there is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from core.errors import StoreFormatError
from core.group_commit import open_directory
from core.journal import Journal, encode_event

_COMPACT_SIZE_MIN = 1 << 20


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
        for event in self._journal.replay(skip_damage=True):
            try:
                self._apply(*_decode(event))
            except msgspec.MsgspecError as error:
                raise StoreFormatError(f"{path}: an event cannot be read: {error}") from error
        self.damage = self._journal.damage
        self._compact_at = _COMPACT_SIZE_MIN
        if self.damage:
            self._keep_damaged()
            self._compact()
        else:
            self._compact_if_large()

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
            self._journal.append(b"".join(encode_event(_encode((kind, key, None))) for key in keys))
            for key in keys:
                del self._documents[kind][key]
            self._compact_if_large()

    def begin_sync(self) -> list[int]:
        """A duplicate of the file descriptor, if there is something to flush."""
        return self._journal.begin_sync()

    def close(self) -> None:
        """Flush and close."""
        self._journal.close()

    def _write(self, kind: str, key: str, document: Any) -> None:
        self._journal.append(encode_event(_encode((kind, key, document))))
        self._apply(kind, key, document)
        self._compact_if_large()

    def _apply(self, kind: str, key: str, document: Any) -> None:
        documents = self._documents.setdefault(kind, {})
        if document is None:
            documents.pop(key, None)
        else:
            documents[key] = document

    def _compact_if_large(self) -> None:
        if self._journal.size >= self._compact_at:
            self._compact()

    def _keep_damaged(self) -> None:
        """Let the file stay beside the one that replaces it, for whoever can make sense of it."""
        kept = self._path.with_suffix(".damaged")
        kept.unlink(missing_ok=True)
        os.link(self._path, kept)

    def _compact(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        journal = Journal(fresh)
        journal.append(
            b"".join(
                encode_event(_encode((kind, key, document)))
                for kind, documents in self._documents.items()
                for key, document in documents.items()
            )
        )
        journal.close()
        self._journal.close()
        os.replace(fresh, self._path)
        sync_directory(self._path.parent)
        self._journal = Journal(self._path)
        for _ in self._journal.replay():
            pass
        self._compact_at = max(_COMPACT_SIZE_MIN, 2 * self._journal.size)


def sync_directory(directory: Path) -> None:
    """Make creations and renames in a folder durable."""
    descriptor = open_directory(directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
