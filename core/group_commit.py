"""Group commit: what was written before one fdatasync began is durable when it ends.

One at a time. Flushing runs in another thread (`run_blocking`), so the broker goes on meanwhile;
the next flush begins when this one has ended and somebody waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeAlias

Done: TypeAlias = "Callable[[BaseException | None], None]"
RunBlocking: TypeAlias = "Callable[[Callable[[], None], Done], None]"


def sync_files(descriptors: Iterable[int]) -> None:
    """Flush the data of all these files to the disk, and close the descriptors.

    They are duplicates, made for this: the files may be closed or replaced meanwhile.
    """
    for descriptor in descriptors:
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


class GroupCommit:
    """Who may be told that what they wrote is durable, and when.

    `begin_sync` duplicates the descriptors of what to flush for all that was written so far.
    `failed` is called when the disk refuses: after that nobody is told anything any more.
    """

    def __init__(
        self,
        begin_sync: Callable[[], list[int]],
        run_blocking: RunBlocking,
        after_turn: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._begin_sync = begin_sync
        self._run_blocking = run_blocking
        self._after_turn = after_turn
        self._failed = failed
        self._waiting: list[Callable[[], None]] = []
        self._running = False
        self._broken = False

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call `callback` once all that was written before this call is on the disk."""
        self._waiting.append(callback)
        if not self._running and not self._broken:
            self._start()

    def _start(self) -> None:
        self._running = True
        descriptors = self._begin_sync()
        waiting, self._waiting = self._waiting, []

        def done(error: BaseException | None) -> None:
            self._running = False
            if error is not None:
                self._broken = True
                self._failed(error)
                return
            for callback in waiting:
                callback()
            if self._waiting and not self._running:
                self._start()
            self._after_turn()

        self._run_blocking(lambda: sync_files(descriptors), done)
