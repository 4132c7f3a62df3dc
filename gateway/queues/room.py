"""Which of the messages that are to be appended together a queue with a limit takes.

They are counted before anything is appended, as if one came after the other: so that all which are
taken can be one append. What the consumers take at once needs no room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.messages import Message

if TYPE_CHECKING:
    from gateway.queues.queue import Queue
    from gateway.queues.upkeep import Upkeep


class Room:
    """What is left of one queue's, while messages are counted."""

    __slots__ = ("_credit", "_is_fresh", "_queue", "_size", "_sizes", "_upkeep")

    def __init__(self, queue: Queue, upkeep: Upkeep) -> None:
        self._queue = queue
        self._upkeep = upkeep
        self._sizes: list[int] = []  # Of what was taken, and will be ready.
        self._size = 0  # Their sum.
        self._credit = 0  # So many more the consumers take at once.
        self._is_fresh = False  # Have the consumers taken what they can?

    def takes(self, message: Message) -> bool:
        """Is there room for one message more? Then it is counted."""
        size = len(message[2])
        if not self._has_room(size):
            if self._is_fresh:
                return False
            self._refresh()
            if not self._has_room(size):
                return False
        if self._credit:
            self._credit -= 1
        else:
            self._sizes.append(size)
            self._size += size
        return True

    def _has_room(self, size: int) -> bool:
        return self._upkeep.has_room(len(self._sizes) + 1, self._size + size)

    def _refresh(self) -> None:
        """Only now look what consumers would take: mostly there is room anyway."""
        self._is_fresh = True
        self._upkeep.refresh()
        credit = self._queue.free_credit
        taken = min(credit, len(self._sizes))
        del self._sizes[:taken]
        self._size = sum(self._sizes)
        self._credit = credit - taken
