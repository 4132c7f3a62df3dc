"""A route: the light queues that a publish resolves to, under one number in the log."""

from __future__ import annotations

from core.light_queue import LightQueue


class Route:
    """The queues of a message; `id` names the durable ones of them in log records.

    `by_header` says that a header took part in the choice, so that another message with the same
    exchange and routing key may go elsewhere. A route without queues is unroutable.
    """

    __slots__ = ("by_header", "durable", "id", "queues")

    def __init__(self, queues: tuple[LightQueue, ...], id: int, by_header: bool = False) -> None:
        self.queues = queues
        self.id = id
        self.durable = any(queue.durable for queue in queues)
        self.by_header = by_header
