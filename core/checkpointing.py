"""When checkpoints are written, and what each of them makes superfluous."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from twisted.logger import Logger

from core.checkpoint import Checkpoint, encode_checkpoint, read_checkpoint, replace_checkpoint
from core.commit_log import CommitLog
from core.errors import is_disk_full
from core.group_commit import Done, GroupCommit, RunBlocking, sync_files
from core.index_log import IndexLog
from core.progress import Progress
from core.timer_index import TimerIndex

# Recovery takes as long for a record as for so many bytes of the log more, and as long for a byte
# of the progress journal as for so many of the log.
_RECORD_COST = 512
_PROGRESS_COST = 4


class Checkpointing:
    """Writes checkpoints in the background, one at a time.

    `capture` gives the checkpoint of this moment, which the progress file of that number continues;
    `covered` is called with its log offset when it is on the disk.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        distance: int,
        capture: Callable[[int], Checkpoint],
        covered: Callable[[int], None],
        log: CommitLog,
        progress: Progress,
        timer_index: TimerIndex,
        index_log: IndexLog,
        commit: GroupCommit,
        run_blocking: RunBlocking,
    ) -> None:
        self._path = path
        self._distance = distance
        self._capture = capture
        self._covered = covered
        self._commit_log = log
        self._progress = progress
        self._timer_index = timer_index
        self._index_log = index_log
        self._commit = commit
        self._run_blocking = run_blocking
        self._log_offset = 0  # Of the newest one.
        self._record_count = 0  # Of the log, when it was begun.
        self._size = 0
        self._running = False
        self._waiting: list[Done] = []  # For the next one that begins.

    def restore(self) -> Checkpoint:
        """The newest one, of before a restart."""
        checkpoint = read_checkpoint(self._path)
        self._log_offset = checkpoint.log_offset
        return checkpoint

    def begin_if_due(self) -> None:
        """Begin one if recovery would have much to read, compared with what it has to write."""
        log = self._commit_log
        cost = log.end - self._log_offset + _PROGRESS_COST * self._progress.size
        cost += _RECORD_COST * (log.record_count - self._record_count)
        if cost > max(self._distance, 4 * self._size):
            self.begin()

    def begin_for(self, done: Done) -> None:
        """Begin one soon, and call `done` when it is on the disk, or could not be written."""
        self._waiting.append(done)
        self.begin()

    def begin(self) -> None:
        """Write a checkpoint of this moment, unless one is being written."""
        if self._running:
            return
        waiting, self._waiting = self._waiting, []
        log_offset = self._log_offset = self._commit_log.end
        self._record_count = self._commit_log.record_count
        try:
            number = self._progress.begin_next()
        except OSError as error:
            self._refused(error, waiting)
            return
        self._running = True
        content = encode_checkpoint(self._capture(number))
        spent = self._timer_index.spent()
        index_files, index_end = self._index_log.begin_sync()
        dead = self._index_log.dead()
        self._size = len(content)

        def replaced(error: BaseException | None) -> None:
            self._running = False
            if error is None:
                self._progress.delete_before(number)
                self._timer_index.forget(spent)
                self._index_log.synced(index_end)
                self._index_log.drop(dead)
                self._covered(log_offset)
                for callback in waiting:
                    callback(None)
            else:
                self._refused(error, waiting)
            if self._waiting:  # For something that this one did not know.
                self.begin()

        def write() -> None:
            sync_files(index_files)
            replace_checkpoint(self._path, content)

        # Not before the log itself is durable up to here.
        self._commit.flush_now(lambda: self._run_blocking(write, replaced))

    def finish(self) -> None:
        """Write the last one, now that all is flushed; on a full disk the old one stays. Blocks."""
        try:
            number = self._progress.begin_next()
            content = encode_checkpoint(self._capture(number))
            sync_files(self._progress.begin_sync() + self._index_log.begin_sync()[0])
            replace_checkpoint(self._path, content)
        except OSError as error:
            if not is_disk_full(error):
                raise
            self._refused(error, ())
            return
        self._progress.delete_before(number)
        self._timer_index.forget(self._timer_index.spent())
        self._index_log.drop(self._index_log.dead())

    def _refused(self, error: BaseException, waiting: Iterable[Done]) -> None:
        self._log.error("no checkpoint could be written: {error}", error=error)
        for callback in waiting:
            callback(error)
