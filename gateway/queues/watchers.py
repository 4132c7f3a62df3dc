"""Who waits for the next message of a queue, without taking any."""

from __future__ import annotations

from collections.abc import Callable

from core.lanes import AnyQueue


class Watchers:
    """Those of one queue; each is called once."""

    def __init__(self, light: AnyQueue) -> None:
        self._light = light
        self._callbacks: dict[Callable[[], None], None] = {}
        self._seen_count = 0

    def __bool__(self) -> bool:
        """Does anybody wait?"""
        return bool(self._callbacks)

    def add(self, callback: Callable[[], None]) -> None:
        """Somebody waits from now on."""
        if not self._callbacks:
            self._seen_count = self._light.appended_count
        self._callbacks[callback] = None

    def remove(self, callback: Callable[[], None]) -> None:
        """Somebody waits no more."""
        self._callbacks.pop(callback, None)

    def take_due(self) -> list[Callable[[], None]]:
        """Those who are to be called now: all, if something has come."""
        return self.take_all() if self._light.appended_count > self._seen_count else []

    def take_all(self) -> list[Callable[[], None]]:
        """All, who are forgotten then."""
        callbacks, self._callbacks = self._callbacks, {}
        return list(callbacks)
