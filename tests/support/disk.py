"""What runs the blocking parts of the broker in tests."""

from __future__ import annotations

from collections.abc import Callable


class HeldDisk:
    """A `run_blocking` without a thread, which can be held: nothing is durable meanwhile."""

    def __init__(self) -> None:
        self.held = False
        self._waiting: list[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = []

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        self._waiting.append((function, done))
        if not self.held:
            self.release()

    def release(self) -> None:
        self.held = False
        while self._waiting:
            function, done = self._waiting.pop(0)
            function()
            done(None)
