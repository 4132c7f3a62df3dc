"""Who waits for the next message of a queue, without taking any."""

from __future__ import annotations

from collections.abc import Callable

from core.lanes import AnyQueue


class Watchers:
    """Those of one queue; each is called once. `changed` is called when somebody comes or goes."""

    def __init__(self, light: AnyQueue, changed: Callable[[], None]) -> None:
        self._light = light
        self._changed = changed
        self._callbacks: dict[Callable[[], None], None] = {}
        self._seen_count = 0

    def __bool__(self) -> bool:
        """Does anybody wait?"""
        return bool(self._callbacks)

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Somebody waits from now on; returns how to cancel that."""
        if not self._callbacks:
            self._seen_count = self._light.appended_count
        self._callbacks[callback] = None
        self._changed()

        def cancel() -> None:
            self._callbacks.pop(callback, None)
            self._changed()

        return cancel

    def call_due(self) -> None:
        """Call all, if something has come."""
        if self._callbacks and self._light.appended_count > self._seen_count:
            due = self.take_all()
            self._changed()
            for callback in due:
                callback()

    def take_all(self) -> list[Callable[[], None]]:
        """All, who are forgotten then."""
        callbacks, self._callbacks = self._callbacks, {}
        return list(callbacks)
