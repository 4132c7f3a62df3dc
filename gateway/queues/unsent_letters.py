"""The dead letters of a queue that loses none (`x-dead-letter-strategy: at-least-once`).

What has died stays in flight until its dead letter is stored in every queue that it goes to. What
finds no exchange, no queue, a full one, or no room on the disk, is tried again now and then. Only
offsets are kept here: a message is read again when it is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from core.errors import is_disk_full
from core.readable_queue import Span
from gateway.messages import Message

if TYPE_CHECKING:
    from gateway.queues.queue import Queue

_RETRY_INTERVAL_S = 10.0


class UnsentLetters:
    """The messages of one queue that have died, and are nowhere else yet."""

    def __init__(self, queue: Queue, clock: IReactorTime) -> None:
        self._queue = queue
        self._clock = clock
        self._unsent: dict[int, str] = {}  # By offset, why it died; in their order.
        self._call: IDelayedCall | None = None

    def send(self, dead: Sequence[Span], reason: str) -> None:
        """These, in flight, have died."""
        for start, messages, _ in dead:
            for offset, message in enumerate(messages, start):
                self._offer(offset, message, reason)
        self._wait()

    def stop(self) -> None:
        """Wait for nothing any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _offer(self, offset: int, message: Message, reason: str) -> None:
        queue = self._queue

        def settle() -> None:
            queue.light.settle(offset, offset + 1)

        try:
            is_sent = queue.virtual_host.dead_letters.offer(queue, message, reason, settle)
        except OSError as error:
            if not is_disk_full(error):
                raise
            is_sent = False
        if not is_sent:
            self._unsent[offset] = reason

    def _wait(self) -> None:
        if self._unsent and self._call is None:
            self._call = self._clock.callLater(_RETRY_INTERVAL_S, self._retry)

    def _retry(self) -> None:
        self._call = None
        unsent, self._unsent = self._unsent, {}
        for offset, reason in unsent.items():
            for found, message in self._queue.light.read(offset, 1):
                if found == offset:
                    self._offer(offset, message, reason)
        self._wait()
        self._queue.work()
