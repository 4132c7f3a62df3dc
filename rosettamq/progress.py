"""How far a consumer has come on one queue: what may be committed."""

from __future__ import annotations


class QueueProgress:
    """The messages of one queue that are being consumed.

    The offset to commit is the lowest that is not finished, so that nothing is lost when this
    consumer dies, whatever the order in which its messages are finished.
    """

    def __init__(self, start: int) -> None:
        self.unfinished_size = 0  # Of their bodies, in bytes.
        self._unfinished: dict[int, int] = {}  # By offset: the size of the body.
        self._end = start
        self._committed: int | None = None  # What the broker knows.

    @property
    def unfinished_count(self) -> int:
        """How many messages are being consumed."""
        return len(self._unfinished)

    @property
    def commit_offset(self) -> int:
        """Everything below is finished."""
        return min(self._unfinished, default=self._end)

    def take_commit(self) -> int | None:
        """The offset to commit, if that is news to the broker; see `commit_failed`."""
        offset = self.commit_offset
        if offset == self._committed:
            return None
        self._committed = offset
        return offset

    def commit_failed(self) -> None:
        """What was taken to be committed was not: it is to be, the next time."""
        self._committed = None

    def begin(self, offset: int, size: int) -> None:
        """A message has come.

        The queue's own group may get what lies below its committed offset, as somebody else gave
        it back: then the same offset is to be committed once more.
        """
        self.finish(offset)
        self._unfinished[offset] = size
        self.unfinished_size += size
        self._end = max(self._end, offset + 1)
        if self._committed is not None and offset < self._committed:
            self._committed = None

    def finish(self, offset: int) -> None:
        """A message is finished with."""
        self.unfinished_size -= self._unfinished.pop(offset, 0)

    def skip_to(self, offset: int) -> None:
        """There is nothing for this consumer below `offset`."""
        self._end = max(self._end, offset)

    def reset(self, offset: int) -> None:
        """The broker moved the consumer elsewhere."""
        self._unfinished.clear()
        self.unfinished_size = 0
        self._end = offset
