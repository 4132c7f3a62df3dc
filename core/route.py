"""A route: the light queues that a publish resolves to, under one number in the log."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from core.light_queue import LightQueue, Taker

if TYPE_CHECKING:
    from core.handing import Takers

# From here on, a number says which durable queue is the only one, if the queue's id is below it.
OF_ONE = 1 << 31


class DependsOn(IntEnum):
    """What of a message takes part in the choice of its route, besides where it was sent."""

    KEY = 0  # Nothing: another one that is sent there takes the same route.
    HEADER = 1  # Its header: another one with an equal header takes the same route.
    MESSAGE = 2  # It is a choice of its own, whatever another one got.


class Route:
    """The queues of a message; `id` names the durable ones of them in log records, 0 none.

    `by_header` says that another message which is sent there may go elsewhere, `by_message` that
    this is so even if its header is the same.
    """

    waits: ClassVar[bool] = False  # Is a message for the timers, too?

    __slots__ = (
        "__weakref__",
        "_without_restart",
        "by_header",
        "by_message",
        "depends_on",
        "durable",
        "id",
        "is_unroutable",
        "queues",
        "taker",
        "takers",
    )

    def __init__(
        self, queues: tuple[LightQueue, ...], id: int, depends_on: DependsOn = DependsOn.KEY
    ) -> None:
        self.queues = queues
        self.id = id
        self.durable = id != 0
        self.depends_on = depends_on
        self.by_header = depends_on >= DependsOn.HEADER
        self.by_message = depends_on is DependsOn.MESSAGE
        # Is a publisher to be told, who wants to be, that the message goes nowhere?
        self.is_unroutable = not any(queue.is_target for queue in queues)
        self._without_restart: Route | None = None
        # Who takes what comes this way, as long as it goes past the queue; see `handing`.
        self.taker: Taker | None = None
        self.takers: Takers | None = None

    @property
    def guarded(self) -> bool:
        """May one of the queues refuse a message, and has to be asked first?"""
        return any(queue.guarded for queue in self.queues)

    @property
    def at_once(self) -> Route:
        """The route to the queues that get the message now, if others get it later."""
        return self

    def keeps(self, persistent: bool) -> bool:
        """Would a restart bring back a message that goes here?"""
        return self.durable and (persistent or any(queue.keeps_all for queue in self.queues))

    @property
    def without_restart(self) -> Route:
        """The same queues, for a message that no restart brings back."""
        if not self.id:
            return self
        if self._without_restart is None:
            self._without_restart = Route(self.queues, 0, self.depends_on)
        return self._without_restart
