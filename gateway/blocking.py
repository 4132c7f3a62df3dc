"""One thread for what blocks: the disk's own time is not spent in the reactor."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool


class BlockingThread:
    """Runs one function after the other in a thread of its own."""

    def __init__(self, call_from_thread: Callable[..., None]) -> None:
        self._call_from_thread = call_from_thread
        self._pool = ThreadPool(minthreads=1, maxthreads=1, name="rosettamq-disk")

    def start(self) -> None:
        """Start the thread."""
        self._pool.start()

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Run `function` in the thread, later `done(error or None)` in the reactor."""

        def on_result(success: bool, result: object) -> None:
            error = result.value if isinstance(result, Failure) else None
            self._call_from_thread(done, error)

        self._pool.callInThreadWithCallback(on_result, function)

    def stop(self) -> None:
        """Finish what was begun and asked for, then end the thread."""
        self._pool.stop()
