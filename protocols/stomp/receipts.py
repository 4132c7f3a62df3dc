"""RECEIPTs of what is stored, in the order of the frames that asked for them.

Each goes out when what it is about, and all that was published before it, is stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from protocols.stomp.outbox import Outbox


class _Pending:
    """The receipts of one publish."""

    __slots__ = ("frames", "stored")

    def __init__(self, frames: bytes, stored: bool) -> None:
        self.frames = frames
        self.stored = stored


class Receipts:
    """Those of one connection that are not out yet."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._pending: deque[_Pending] = deque()
        self._on_all_stored: Callable[[], None] | None = None

    def add(self, frames: bytes) -> None:
        """Send these when all that was published before is stored."""
        self._pending.append(_Pending(frames, True))
        self._send()

    def publishing(self, frames: bytes, publish: Callable[[Callable[[], None]], None]) -> None:
        """Call `publish` with what it is to call when all is stored; then these may go out.

        If it raises, they never do.
        """
        pending = _Pending(frames, False)

        def on_stored() -> None:
            pending.stored = True
            self._send()

        publish(on_stored)
        self._pending.append(pending)
        self._send()

    def when_all_stored(self, callback: Callable[[], None]) -> None:
        """Call back once, when nothing that was published is on its way to the store."""
        self._on_all_stored = callback
        self._send()

    def _send(self) -> None:
        pending = self._pending
        while pending and pending[0].stored:
            if frames := pending.popleft().frames:
                self._outbox.add(frames)
        if not pending and self._on_all_stored is not None:
            on_all_stored, self._on_all_stored = self._on_all_stored, None
            on_all_stored()
