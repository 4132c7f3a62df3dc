"""How far a consumer has come on one queue: what may be committed."""

from __future__ import annotations


class QueueProgress:
    """The messages of one queue that are being consumed.

    The offset to commit is the lowest that is not finished, so that nothing is lost when this
    consumer dies, whatever the order in which its messages are finished.
    """

    def __init__(self, start: int) -> None:
        self._unfinished: set[int] = set()
        self._end = start

    @property
    def unfinished_count(self) -> int:
        """How many messages are being consumed."""
        return len(self._unfinished)

    @property
    def commit_offset(self) -> int:
        """Everything below is finished."""
        return min(self._unfinished, default=self._end)

    def begin(self, offset: int) -> None:
        """A message has come."""
        self._unfinished.add(offset)
        self._end = max(self._end, offset + 1)

    def finish(self, offset: int) -> None:
        """A message is finished with."""
        self._unfinished.discard(offset)

    def skip_to(self, offset: int) -> None:
        """There is nothing for this consumer below `offset`."""
        self._end = max(self._end, offset)

    def reset(self, offset: int) -> None:
        """The broker moved the consumer elsewhere."""
        self._unfinished.clear()
        self._end = offset
