"""One thread for what blocks: the disk's own time is not spent in the reactor.

Not Twisted's thread pool: its bookkeeping costs every flush some 20 µs of the one core that all
messages share, and a pool of one needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias

_Done: TypeAlias = "Callable[[BaseException | None], None]"


class BlockingThread:
    """Runs one function after the other in a thread of its own."""

    def __init__(self, call_from_thread: Callable[..., None]) -> None:
        self._call_from_thread = call_from_thread
        self._jobs: SimpleQueue[tuple[Callable[[], None], _Done] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="rosettamq-disk", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def run(self, function: Callable[[], None], done: _Done) -> None:
        """Run `function` in the thread, later `done(error or None)` in the reactor."""
        self._jobs.put((function, done))

    def stop(self) -> None:
        """Finish what was begun and asked for, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, done = job
            error: BaseException | None = None
            try:
                function()
            except BaseException as raised:  # Not handled here: handed on to who asked.
                error = raised
            self._call_from_thread(done, error)
