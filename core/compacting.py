"""The metadata's file is replaced by a shorter one, bit by bit, while the broker goes on.

A hundred thousand queues take half a second to write. So some documents are written in each round
of the reactor, to a file beside; whatever changes meanwhile is written to both. When all of that is
on the disk, the new file takes the place of the old one, in the thread that may block.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from core.group_commit import GroupCommit, RunBlocking
from core.metadata import Metadata

_DOCUMENTS_PER_ROUND = 1000
_PAUSE_S = 0.001  # Between rounds: others come first.


class Compacting:
    """Replaces the file when it is mostly history, or was asked to."""

    _log = Logger()

    def __init__(
        self,
        metadata: Metadata,
        clock: IReactorTime,
        commit: GroupCommit,
        run_blocking: RunBlocking,
        disk_failed: Callable[[BaseException], None],
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._commit = commit
        self._run_blocking = run_blocking
        self._disk_failed = disk_failed
        self._call: IDelayedCall | None = None
        self._ended = False
        metadata.when_long = self.begin

    def begin(self) -> None:
        """Begin, unless it has begun already."""
        if self._call is None and not self._metadata.is_compacting:
            self._call = self._clock.callLater(0, self._begin)

    def stop(self) -> None:
        """Go no further; what was begun is given up when the metadata is closed."""
        self._ended = True
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _begin(self) -> None:
        self._call = None
        try:
            self._metadata.begin_compaction()
        except OSError as error:
            self._failed(error)
            return
        self._go_on()

    def _go_on(self) -> None:
        self._call = None
        try:
            is_written = self._metadata.compact_some(_DOCUMENTS_PER_ROUND)
        except OSError as error:
            self._failed(error)
            return
        if not self._metadata.is_compacting:
            return  # A change had no room in the new file.
        if is_written:
            self._commit.flush_now(self._replace)
        else:
            self._call = self._clock.callLater(_PAUSE_S, self._go_on)

    def _replace(self) -> None:
        if self._metadata.begin_replacing():
            self._run_blocking(self._metadata.replace_file, self._replaced)

    def _replaced(self, error: BaseException | None) -> None:
        if self._ended:
            return
        if error is None:
            self._metadata.finish_compaction()
        elif self._metadata.is_replaced:
            self._disk_failed(error)  # Nobody knows which file a crash of the machine would leave.
        else:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._log.error("metadata stays as long as it is: {error}", error=error)
        self._metadata.give_up_compaction()
