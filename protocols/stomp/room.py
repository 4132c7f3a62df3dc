"""Waiting for room on the disk: what could not be stored is tried again, and nothing more is read.

RabbitMQ does the same to a publisher while its resource alarm lasts: no frame tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import is_disk_full

if TYPE_CHECKING:
    from protocols.transport import Throttle

_RETRY_INTERVAL_S = 1.0


class RoomOnDisk:
    """Whether one connection waits for it, since when, and what came meanwhile."""

    def __init__(self, throttle: Throttle, report: Callable[[OSError], None]) -> None:
        self.retry_at: float | None = None  # None: it does not wait.
        self._throttle = throttle
        self._report = report
        self._later: list[bytes] = []  # What was read, but not looked at.
        self._readers: list[Callable[[], None]] = []  # Who may read again then.

    @property
    def is_awaited(self) -> bool:
        """Is there something that could not be stored?"""
        return self.retry_at is not None

    def keep(self, data: bytes) -> None:
        """Take in what came all the same, for later."""
        self._later.append(data)

    def wait(self, error: OSError, now: float) -> None:
        """Begin to wait, or go on waiting. Raises `error` if it is none that passes."""
        if not is_disk_full(error):
            raise error
        if not self.is_awaited:
            self._report(error)
            self._throttle(self._readers.append)
        self.retry_at = now + _RETRY_INTERVAL_S

    def found(self) -> bytes:
        """It is stored, or needs to be no more; returns what came meanwhile."""
        self.retry_at = None
        readers, self._readers = self._readers, []
        for reader in readers:
            reader()
        later = b"".join(self._later)
        self._later.clear()
        return later
