"""The disk as tests want it: flushing without a thread, held back or failing when told to."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

import pytest

from core.group_commit import Done


class HeldDisk:
    """A `run_blocking` without a thread: what is to block runs at once, or when released."""

    def __init__(self) -> None:
        self.held = False
        self.error: BaseException | None = None  # What every further function ends with.
        self.waiting: list[tuple[Callable[[], None], Done]] = []

    def run(self, function: Callable[[], None], done: Done) -> None:
        self.waiting.append((function, done))
        if not self.held:
            self.release()

    def release_one(self) -> None:
        function, done = self.waiting.pop(0)
        try:
            function()
            if self.error is not None:
                raise self.error
        except OSError as error:
            done(error)
        else:
            done(None)

    def release(self) -> None:
        self.held = False
        while self.waiting:
            self.release_one()


class FullDisk:
    """Lets `room` more bytes be written by `os.write` and `os.writev`, then says ENOSPC."""

    def __init__(self, patch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        patch.setattr(os, "write", self.write)
        patch.setattr(os, "writev", self.writev)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.room <= 0 and len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, bytes(data)[: self.room])
        self.room -= written
        return written

    def writev(self, descriptor: int, pieces: Sequence[bytes | memoryview]) -> int:
        return self.write(descriptor, b"".join(pieces))
