"""The checkpoint: all derived state as of one log offset, in one file, replaced as a whole.

It spares recovery the log before that offset: it holds every queue's index and window, and the
offsets of all groups. What came later is in the tail of the log and in the progress files from
`progress_number` on. The file is one event (see `journal`) of msgpack.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from core.errors import StoreFormatError
from core.journal import decode_events, encode_event
from core.metadata import sync_directory
from core.timer_index import TimersCheckpoint

# Version 1 knew no stretches, version 2 no bitmaps; before version 3, journals said nothing of
# places in the log.
VERSION = 3


class QueueCheckpoint(msgspec.Struct, array_like=True):
    """One queue: its index as in `consume_queue`, its window as in `window`."""

    max_offset: int
    floor: int
    delivered_below: int
    settled: list[tuple[int, int]]
    runs: bytes
    return_counts: dict[int, int] = msgspec.field(default_factory=dict)
    stretches: bytes = b""  # What of the index is in files: see `stretch`.
    settled_bitmaps: dict[int, bytes] = msgspec.field(default_factory=dict)  # As `pack` gives them.


class Checkpoint(msgspec.Struct, array_like=True):
    """Everything that recovery begins with."""

    version: int = VERSION
    log_offset: int = 0
    progress_number: int = 0
    queues: dict[int, QueueCheckpoint] = msgspec.field(default_factory=dict)
    group_offsets: dict[int, int] = msgspec.field(default_factory=dict)
    record_marks: list[int] = msgspec.field(default_factory=list)
    timers: TimersCheckpoint = msgspec.field(default_factory=TimersCheckpoint)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of this file; an empty one if there is no file.

    Raises `StoreFormatError` if the file is damaged: it is replaced atomically, so it never should
    be, and going on without it would forget what was settled.
    """
    if not path.exists():
        return Checkpoint()
    for event in decode_events(path.read_bytes()):
        try:
            checkpoint = msgspec.msgpack.decode(event, type=Checkpoint)
        except msgspec.MsgspecError as error:
            raise StoreFormatError(f"{path}: the checkpoint cannot be read: {error}") from error
        if not 1 <= checkpoint.version <= VERSION:
            raise StoreFormatError(f"{path}: version {checkpoint.version} is not known")
        return checkpoint
    raise StoreFormatError(f"{path}: the checkpoint is damaged")


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The file's content."""
    return encode_event(msgspec.msgpack.encode(checkpoint))


def replace_checkpoint(path: Path, content: bytes) -> None:
    """Make `content` the checkpoint, durably, or leave the old one. Blocks."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_directory(path.parent)
