"""A route: the light queues that a publish resolves to, under one number in the log."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from core.light_queue import LightQueue


class Route:
    """The queues of a message; `id` names the durable ones of them in log records, 0 none.

    `by_header` says that a header took part in the choice, so that another message with the same
    exchange and routing key may go elsewhere. `guarded` says that one of the queues may refuse a
    message, and has to be asked first. A route without queues is unroutable.
    """

    waits: ClassVar[bool] = False  # Is a message for the timers, and for no queue yet?

    def __init__(self, queues: tuple[LightQueue, ...], id: int, by_header: bool = False) -> None:
        self.queues = queues
        self.id = id
        self.durable = id != 0
        self.guarded = any(queue.guarded for queue in queues)
        self.by_header = by_header
        self._keeps_all = any(queue.keeps_all for queue in queues)

    @property
    def is_unroutable(self) -> bool:
        """Is a publisher to be told, who wants to be, that the message goes nowhere?"""
        return not self.queues

    def keeps(self, persistent: bool) -> bool:
        """Would a restart bring back a message that goes here?"""
        return self.durable and (persistent or self._keeps_all)

    @cached_property
    def without_restart(self) -> Route:
        """The same queues, for a message that no restart brings back."""
        return Route(self.queues, 0, self.by_header) if self.id else self
