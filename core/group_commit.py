"""Group commit: what was written before one fdatasync began is durable when it ends.

One at a time. Flushing runs elsewhere (`flush`), so the broker goes on meanwhile.
A flush begins at the end of the turn in which somebody began to wait, or the one before it ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from core.turn import Turn

Done: TypeAlias = "Callable[[BaseException | None], None]"
RunBlocking: TypeAlias = "Callable[[Callable[[], None], Done], None]"
# Flushes the data of all these files, closes the descriptors, and says that it is done.
Flush: TypeAlias = "Callable[[list[int], Done], None]"


def sync_files(descriptors: Sequence[int]) -> None:
    """Flush the data of all these files to the disk, and close the descriptors.

    They are duplicates, made for this: the files may be closed or replaced meanwhile.
    """
    with ExitStack() as closing:
        for descriptor in descriptors:
            closing.callback(os.close, descriptor)
        for descriptor in descriptors:
            os.fdatasync(descriptor)


def flush_blocking(run_blocking: RunBlocking) -> Flush:
    """A `Flush` in the thread of `run_blocking`."""
    return lambda descriptors, done: run_blocking(lambda: sync_files(descriptors), done)


def open_directory(directory: Path) -> int:
    """A descriptor of a folder: flushed, it makes creations and renames there durable."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


class GroupCommit:
    """Who may be told that what they wrote is durable, and when.

    `begin_sync` duplicates the descriptors of what to flush for all that was written so far.
    `failed` is called when the disk refuses, or the flush cannot even begin: what was to be flushed
    may not be known any more. After that nobody is told anything.
    """

    def __init__(
        self,
        begin_sync: Callable[[], list[int]],
        flush: Flush,
        turn: Turn,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._begin_sync = begin_sync
        self._flush = flush
        self._turn = turn
        self._failed = failed
        self._waiting: list[Callable[[], None]] = []
        self._running = False  # Or about to: the turn has been asked to begin it.
        self._ended = False

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call `callback` once all that was written before this call is on the disk."""
        if self._ended:
            return
        self._waiting.append(callback)
        if not self._running:
            self._plan()

    def flush_now(self, callback: Callable[[], None]) -> None:
        """The same for whoever is perhaps not part of a turn, and has the flush begin at once."""
        self.when_durable(callback)
        self._turn.end()

    def stop(self) -> None:
        """Tell nobody anything any more, also not of a flush that is still running."""
        self._ended = True
        self._waiting.clear()

    def _plan(self) -> None:
        self._running = True
        self._turn.flushes.append(self._start)

    def _start(self) -> None:
        if self._ended:
            return
        try:
            descriptors = self._begin_sync()
        except OSError as error:
            self._fail(error)
            return
        waiting, self._waiting = self._waiting, []

        def done(error: BaseException | None) -> None:
            self._running = False
            if self._ended:
                return
            if error is not None:
                self._fail(error)
                return
            for callback in waiting:
                callback()
            if self._waiting and not self._running:
                self._plan()
            self._turn.end()

        self._flush(descriptors, done)

    def _fail(self, error: BaseException) -> None:
        self.stop()
        self._failed(error)
