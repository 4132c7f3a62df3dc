"""Topics: the queues and exchanges of the default virtual host, as far as clients may use them."""

from __future__ import annotations

from collections.abc import Mapping

from core.light_queue import LightQueue
from core.route import Route
from gateway.declarations import QueueDeclaration
from gateway.gateway import Gateway
from gateway.messages import FoundMessage, Header
from gateway.queues.lane import Lane, lane_count
from gateway.queues.queue import Queue
from gateway.vhosts.virtual_host import VirtualHost
from rosettamq.remoting.codes import ResponseCode

from .replies import RequestRefusedError, topic_not_found
from .rights import Rights

_ROUTES_MAX = 10_000


class Topics:
    """What all native connections send to and read."""

    def __init__(self, gateway: Gateway, rights: Rights) -> None:
        self._gateway = gateway
        self._rights = rights
        self._routes: dict[tuple[str, str], Route] = {}
        self._routes_generation = gateway.generation

    @property
    def virtual_host(self) -> VirtualHost:
        """Native topics are those of the default virtual host."""
        return self._gateway.default_virtual_host

    def __contains__(self, topic: str) -> bool:
        host = self.virtual_host
        return bool(topic) and (topic in host.exchanges or topic in host.queues)

    def create(self, topic: str) -> None:
        """Make a topic, which is a durable queue, unless there is one. Raises `GatewayError`."""
        if topic not in self:
            self._rights.enter().declare_queue(QueueDeclaration(topic, durable=True))

    # Sending

    def route(self, topic: str, tag: str, header: Header) -> Route:
        """Where a send to a topic goes; it is created if it is not there.

        That is remembered until a binding, a right or the like changes. Raises `GatewayError`.
        """
        self._check_routes()
        if header.may_delay:
            return self._find_route(topic, tag, header)
        route = self._routes.get((topic, tag))
        if route is None:
            route = self._find_route(topic, tag, header)
            self._check_routes()  # It may have declared a queue.
            if not route.by_header:
                self._routes[(topic, tag)] = route
        return route

    def _find_route(self, topic: str, tag: str, header: Header) -> Route:
        view = self._rights.enter()
        if topic in view.exchanges:
            return view.route(topic, tag, header)
        self.create(topic)
        return view.route("", topic, header)

    def _check_routes(self) -> None:
        if self._gateway.generation != self._routes_generation or len(self._routes) >= _ROUTES_MAX:
            self._routes_generation = self._gateway.generation
            self._routes.clear()

    # Reading

    def lanes(self, topic: str) -> Mapping[int, LightQueue]:
        """What readers of a topic read, by queue id, as far as it is there.

        Asking makes no copy of an exchange.
        """
        host = self.virtual_host
        queue = host.queues.get(topic)
        if queue is None:
            exchange = host.exchanges.get(topic)
            queue = None if exchange is None else exchange.tap
        return {} if queue is None else queue.light.lanes

    def find_lane(self, topic: str, queue_id: int) -> Lane:
        """Find what a reader of one queue id reads; raises as `find_queue`."""
        queue = self.find_queue(topic)
        count = lane_count(queue.light)
        if not 0 <= queue_id < count:
            raise RequestRefusedError(
                ResponseCode.INVALID_PARAMETER,
                f"queueId[{queue_id}] is illegal, topic:[{topic}] queues: {count}",
            )
        return Lane(queue, queue_id)

    def find_queue(self, topic: str) -> Queue:
        """Find what a reader of a topic reads; raises `RequestRefusedError`, `GatewayError`.

        Reading an exchange for the first time starts the copy of what is published to it.
        """
        self._rights.check_readable(topic)
        host = self.virtual_host
        queue = host.topic_queue(topic, create=False) if topic else None
        if queue is None:
            raise topic_not_found(topic)
        if queue.exclusive:
            raise RequestRefusedError(
                ResponseCode.NO_PERMISSION, f"queue '{queue.name}' is exclusive to its connection"
            )
        return queue

    def read_at(self, log_offset: int) -> FoundMessage | None:
        """What lies there in the log, if clients may read a queue that it was for."""
        found = self._gateway.read_at(log_offset) if log_offset >= 0 else None
        if found is None:
            return None
        readable = (self._rights.may_read(each) for each in self.virtual_host.holders(found.queues))
        return found if any(readable) else None
