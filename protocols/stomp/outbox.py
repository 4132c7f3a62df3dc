"""What waits to be written to one peer, and how much more may: memory stays bounded.

Deliveries are taken only while there is `room`; a peer that does not read gets none. Answers
(RECEIPT, ERROR) always fit: the transport reads nothing from a peer that does not read.
"""

from __future__ import annotations

from collections.abc import Callable


class Outbox:
    """The octets queued for one peer, in pieces; the hot loops append to `pieces` themselves."""

    def __init__(self, wake: Callable[[], None], max_size: int) -> None:
        self.pieces: list[bytes] = []
        self.room = max_size
        self.starved = False  # Somebody would have delivered more, had there been room.
        self.wake = wake
        self._max_size = max_size
        self._paused = False

    def add(self, octets: bytes) -> None:
        """Queue an answer."""
        self.pieces.append(octets)
        self.wake()

    def take(self) -> bytes:
        """Everything queued, joined; there is room again."""
        octets = b"".join(self.pieces)
        self.pieces.clear()
        if not self._paused:
            self.room = self._max_size
        return octets

    def pause(self) -> None:
        """The peer does not read."""
        self._paused = True
        self.room = 0

    def resume(self) -> None:
        """The peer reads again."""
        self._paused = False
        self.room = self._max_size
