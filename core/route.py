"""A route: the light queues that a publish resolves to, under one number in the log."""

from __future__ import annotations

from core.light_queue import LightQueue


class Route:
    """The queues of a message; `id` names the durable ones of them in log records, 0 none.

    `by_header` says that a header took part in the choice, so that another message with the same
    exchange and routing key may go elsewhere. A route without queues is unroutable.
    """

    __slots__ = ("__weakref__", "_without_restart", "by_header", "durable", "id", "queues")

    def __init__(self, queues: tuple[LightQueue, ...], id: int, by_header: bool = False) -> None:
        self.queues = queues
        self.id = id
        self.durable = id != 0
        self.by_header = by_header
        self._without_restart: Route | None = None

    @property
    def guarded(self) -> bool:
        """May one of the queues refuse a message, and has to be asked first?"""
        return any(queue.guarded for queue in self.queues)

    def keeps(self, persistent: bool) -> bool:
        """Would a restart bring back a message that goes here?"""
        return self.durable and (persistent or any(queue.keeps_all for queue in self.queues))

    @property
    def without_restart(self) -> Route:
        """The same queues, for a message that no restart brings back."""
        if not self.id:
            return self
        if self._without_restart is None:
            self._without_restart = Route(self.queues, 0, self.by_header)
        return self._without_restart
