"""The queues of one session: declared at first use, or named for a subscription, or temporary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.declarations import QueueBinding, QueueDeclaration
from protocols.stomp.destinations import TEMP_QUEUE_PREFIX, Destination, Kind, check_name
from protocols.stomp.errors import RequestRefusedError
from protocols.stomp.language import boolean_header
from protocols.stomp.queue_options import queue_declaration, subscription_queue_name

if TYPE_CHECKING:
    from gateway.exchanges.exchange import Exchange
    from gateway.queues.queue import Queue
    from gateway.security.access import UserVirtualHost


class SessionQueues:
    """Turns destinations into queues; `owner` is whose exclusive queues they are."""

    def __init__(
        self,
        virtual_host: UserVirtualHost,
        owner: object,
        on_temp_queue: Callable[[str, Queue], None],
    ) -> None:
        self._virtual_host = virtual_host
        self._owner = owner
        self._on_temp_queue = on_temp_queue
        self._declared: set[str] = set()
        self._temp_queues: dict[str, Queue] = {}

    def close(self) -> None:
        """The session is over: know nobody who knows us."""
        self._on_temp_queue = _forget

    def ensure_target(
        self, destination: Destination, headers: Mapping[str, str], text: str
    ) -> None:
        """Make sure that a SEND has somewhere to go; `text` is its destination as it came."""
        if destination.kind is Kind.TEMP_QUEUE:
            raise _not_valid_for(text, "SEND")
        # A SEND's `persistent` speaks of the message. RabbitMQ takes it for the queue's
        # durability too, so that `persistent:false` to a durable queue ends the session.
        asked = {name: value for name, value in headers.items() if name != "persistent"}
        wanted = queue_declaration(Kind.QUEUE, asked)
        if destination.kind is Kind.QUEUE and not self._is_declared(destination.routing_key):
            self._declare(wanted._replace(name=destination.routing_key))
            self._declared.add(destination.routing_key)

    def source(
        self, destination: Destination, wanted: QueueDeclaration, headers: Mapping[str, str]
    ) -> Queue:
        """The queue that a SUBSCRIBE reads, declared and bound where its destination says so.

        It must be one that `check_source` lets pass.
        """
        match destination.kind:
            case Kind.QUEUE:
                name = destination.routing_key
                if self._is_declared(name):
                    return self._virtual_host.find_queue(name, self._owner)
                queue = self._declare(wanted._replace(name=name))
                self._declared.add(name)
                return queue
            case Kind.AMQ_QUEUE:
                return self._virtual_host.find_queue(destination.routing_key, self._owner)
            case Kind.TOPIC | Kind.EXCHANGE:
                return self._bound_queue(destination, wanted, headers)
        raise AssertionError("see check_source")

    def reply_queue_name(self, reply_to: str) -> str:
        """What a `reply-to` of `/temp-queue/...` stands for: its own queue, made at first use."""
        queue = self._temp_queues.get(reply_to)
        if queue is None:
            wanted = QueueDeclaration("", exclusive=True, auto_delete=True)
            queue = self._temp_queues[reply_to] = self._declare(wanted)
            self._on_temp_queue(reply_to, queue)
        return queue.name

    def named_subscription(self, name: str, destination: Destination) -> Queue:
        """The queue of a durable subscription by client and name, for this topic only.

        With another topic it is another subscription: what was kept for the old one is gone.
        """
        exchange = self._virtual_host.find_exchange(destination.exchange)
        known = self._virtual_host.queues.get(name)
        if known is not None and not known.is_consumed:
            keys = {each.routing_key for each in exchange.bindings if each.destination is known}
            if keys - {destination.routing_key}:
                self.delete(name)
        queue = self._declare(QueueDeclaration(name, durable=True))
        self._bind(queue, exchange, destination)
        return queue

    def temp_queue(self, text: str) -> str:
        """The real name of a temporary queue that nobody reads by itself, made at first use."""
        queue = self._temp_queues.get(text)
        if queue is None:
            queue = self._declare(QueueDeclaration("", exclusive=True))
            self._temp_queues[text] = queue
        return queue.name

    def delete(self, name: str) -> None:
        """Delete a durable subscription's queue."""
        self._virtual_host.delete_queue(name, owner=self._owner)

    def _is_declared(self, name: str) -> bool:
        """Whether this session declared the queue, and it is still there.

        RabbitMQ asks only the first: it drops what is sent to a queue that was deleted meanwhile.
        """
        return name in self._declared and name in self._virtual_host.queues

    def _bound_queue(
        self, destination: Destination, wanted: QueueDeclaration, headers: Mapping[str, str]
    ) -> Queue:
        exchange = self._virtual_host.find_exchange(destination.exchange)
        name = subscription_queue_name(destination, headers, durable=has_durable_header(headers))
        queue = self._declare(wanted._replace(name=name))
        self._bind(queue, exchange, destination)
        return queue

    def _bind(self, queue: Queue, exchange: Exchange, destination: Destination) -> None:
        wanted = QueueBinding(queue.name, exchange.name, destination.routing_key)
        self._virtual_host.bind(wanted, self._owner)

    def _declare(self, wanted: QueueDeclaration) -> Queue:
        for text in (wanted.name, *wanted.arguments.values()):
            if isinstance(text, str):
                check_name(text)
        return self._virtual_host.declare_queue(wanted, self._owner)


def check_source(destination: Destination, text: str) -> None:
    """Raise `RequestRefusedError` for what can only be sent to; `text` is how it came."""
    if destination.kind in (Kind.TEMP_QUEUE, Kind.REPLY_QUEUE):
        raise _not_valid_for(text, "SUBSCRIBE")


def has_durable_header(headers: Mapping[str, str]) -> bool:
    """Whether SUBSCRIBE or UNSUBSCRIBE means a durable subscription."""
    return boolean_header(headers, "durable") or boolean_header(headers, "persistent")


def is_temp_queue(text: str) -> bool:
    """Whether a `reply-to`, or a subscription's id, names a temporary queue."""
    return text.startswith(TEMP_QUEUE_PREFIX)


def _forget(reply_to: str, queue: Queue) -> None:
    """Nobody subscribes to a temporary queue any more."""


def _not_valid_for(text: str, command: str) -> RequestRefusedError:
    return RequestRefusedError(
        "Invalid destination", f"'{text}' is not a valid destination for '{command}'\n"
    )
