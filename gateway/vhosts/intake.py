"""Messages on their way in: those that have a route go to the queues that it leads to.

Who has a route may use it: rights are asked for when a route is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.broker import Broker
from core.record import Buffer
from core.route import Route
from gateway.delays.delays import Delays
from gateway.messages import Item
from gateway.queues.queue import Queue
from gateway.vhosts.admission import Admission
from gateway.vhosts.route_table import RouteTable


class Intake:
    """What takes in the messages of one virtual host.

    `store_queue` writes a queue's document anew.
    """

    def __init__(
        self,
        broker: Broker,
        delays: Delays,
        routes: RouteTable,
        store_queue: Callable[[Queue], None],
    ) -> None:
        self._broker = broker
        self._delays = delays
        self._routes = routes
        self._store_queue = store_queue

    def publish(
        self,
        items: Sequence[Item],
        on_stored: Callable[[], None] | None = None,
    ) -> list[int]:
        """Append messages as one batch; `on_stored` is called when they are safe.

        Each comes with the stored form of its language. If one of them is persistent and goes to a
        durable queue, all are one record of the log, in their order: a restart brings back those
        that are persistent, all or none. Unroutable ones are dropped. Raises `OSError` if the disk
        refuses.

        Returns the positions of those that a queue refused because it is full; other queues keep
        their copies. What is refused may be a dead letter, which is a part of the same record if
        it is of the same language.

        Delayed ones are a record of their own.
        """
        refused: list[int] = []
        routes = {item[0] for item in items}  # Mostly few, of many messages.
        if any(route.waits or route.guarded for route in routes):
            admission = Admission(self._broker, self._routes.queues, items)
            is_kept = self._append_admitted(admission)
            refused = admission.refused
        else:
            is_kept = self._append(items)
        if on_stored is not None:
            self._when_stored(is_kept, on_stored)
        return refused

    def publish_together(self, items: Sequence[Item], on_stored: Callable[[], None]) -> bool:
        """As `publish`, but all of them or none: False if a queue has no room for its part."""
        admission = Admission(self._broker, self._routes.queues, items)
        if admission.refused:
            return False
        self._when_stored(self._append_admitted(admission), on_stored)
        return True

    def expect_expiry(self, route: Route) -> None:
        """A message with an expiration goes there: its queues have to look after that."""
        for light in route.queues:
            queue = self._routes.queues.get(light)
            if queue is not None and not queue.expects_expiry:
                queue.expects_expiry = True
                queue.keep_up()
                self._store_queue(queue)

    # The rest is private

    def _when_stored(self, is_kept: bool, on_stored: Callable[[], None]) -> None:
        if is_kept:
            self._broker.when_durable(on_stored)
        else:
            on_stored()

    def _append_admitted(self, admission: Admission) -> bool:
        """Append what the queues take; will a restart bring anything of it back?"""
        is_kept = self._delays.add(admission.asked)
        for items in admission.batches():
            is_kept |= self._append(items)
        return is_kept

    def _append(self, items: Sequence[Item]) -> bool:
        """Append one batch; will a restart bring anything of it back?"""
        items = [item for item in items if item[0].queues]
        if not items:
            return False
        kept = []
        for route, message, _ in items:
            header = message[1]
            kept.append(route.keeps(header.persistent))
            if header.may_expire:
                self.expect_expiry(route)
        routes = [
            route if is_kept else route.without_restart
            for (route, _, _), is_kept in zip(items, kept, strict=True)
        ]
        payload: list[Buffer] = [stored for _, _, stored in items]
        messages = [message for _, message, _ in items]
        origin = messages[0][1].language.number
        self._broker.append(origin, routes, list(map(len, payload)), payload, messages, any(kept))
        return any(kept)
