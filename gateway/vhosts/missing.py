"""The queues that somebody looked for to route a message, and that were not there.

Whoever keeps routes must hear when such a queue is declared. One that nobody has looked for changes
no route: a thousand reply queues a second then cost the publishers beside them nothing.
"""

from __future__ import annotations

_COUNT_MAX = 10_000  # More are not remembered one by one.


class Missing:
    """Names of queues of one virtual host."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._is_any = False

    def look(self, name: str) -> None:
        """A route was made without this queue, for there is none of the name."""
        if len(self._names) < _COUNT_MAX:
            self._names.add(name)
        else:
            self._is_any = True

    def __contains__(self, name: str) -> bool:
        """Might somebody keep a route that lacks this queue?"""
        return self._is_any or name in self._names

    def clear(self) -> None:
        """All routes are made anew."""
        self._names.clear()
        self._is_any = False
