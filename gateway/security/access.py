"""A virtual host as one user may use it: each operation checks what RabbitMQ checks, then does it.

Checks belong to methods and to finding a route. Whoever keeps a route compares
`Gateway.generation`, which a change of permissions changes, too; so no message is checked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.route import Route
from core.timer_record import TimerId
from gateway.declarations import BindingDeclaration, ExchangeDeclaration, QueueDeclaration
from gateway.errors import AccessRefusedError
from gateway.exchanges.exchange import Exchange, refuse_unknown_type
from gateway.messages import Header
from gateway.policies.redeclaring import is_applied
from gateway.queues.queue import Queue
from gateway.security.permissions import Permissions
from gateway.vhosts.names import clean_name, refuse_reserved
from gateway.vhosts.virtual_host import VirtualHost

if TYPE_CHECKING:
    from core.rewind import Target
    from gateway.queues.put_back import Choice, Destination, Outcome

_GENERATED = "amq.gen-AAAAAAAAAAAAAAAAAAAAAA"  # What a name that we make up looks like.


class UserVirtualHost:
    """One user's view of a virtual host; what needs no permission is the virtual host's own."""

    def __init__(self, virtual_host: VirtualHost, user: str, permissions: Permissions) -> None:
        self.virtual_host = virtual_host
        self.name = virtual_host.name
        self.user = user
        self.exchanges = virtual_host.exchanges
        self.queues = virtual_host.queues
        self.find_exchange = virtual_host.find_exchange
        self.find_queue = virtual_host.find_queue
        self.make_reply_queue = virtual_host.make_reply_queue
        self.release_owner = virtual_host.release_owner
        self.intake = virtual_host.intake
        self._permissions = permissions

    # Exchanges

    def declare_exchange(self, wanted: ExchangeDeclaration) -> Exchange:
        """See `VirtualHost`. Also raises `AccessRefusedError`."""
        refuse_unknown_type(wanted.type)
        name = clean_name(wanted.name)
        if name:
            self._check("configure", "exchange", name)
        alternate = wanted.arguments.get("alternate-exchange")
        self._check_leading_on("exchange", name, self.exchanges.get(name), alternate)
        return self.virtual_host.declare_exchange(wanted)

    def delete_exchange(self, name: str, *, if_unused: bool = False) -> None:
        """See `VirtualHost`. Also raises `AccessRefusedError`."""
        cleaned = clean_name(name)
        if cleaned and not cleaned.startswith("amq."):
            self._check("configure", "exchange", cleaned)
        self.virtual_host.delete_exchange(name, if_unused=if_unused)

    # Queues

    def declare_queue(self, wanted: QueueDeclaration, owner: object | None = None) -> Queue:
        """See `VirtualHost`. Also raises `AccessRefusedError`."""
        name = clean_name(wanted.name)
        refuse_reserved(name)
        name = name or _GENERATED
        self._check("configure", "queue", name)
        dead_letter_exchange = wanted.arguments.get("x-dead-letter-exchange")
        self._check_leading_on("queue", name, self.queues.get(name), dead_letter_exchange)
        return self.virtual_host.declare_queue(wanted, owner)

    def check_readable(self, name: str) -> None:
        """May queues of this name be read, if there are any? Raises `AccessRefusedError`."""
        self._check("read", "queue", name)

    def read_queue(self, name: str, owner: object | None = None) -> Queue:
        """The queue of this name, to consume, get or purge.

        Raises `AccessRefusedError`, `NotFoundError` or `ResourceLockedError`.
        """
        self.check_readable(name)
        return self.virtual_host.find_queue(name, owner)

    def delete_queue(
        self,
        name: str,
        *,
        owner: object | None = None,
        if_unused: bool = False,
        if_empty: bool = False,
    ) -> int:
        """See `VirtualHost`. Also raises `AccessRefusedError`."""
        self._check("configure", "queue", clean_name(name))
        return self.virtual_host.delete_queue(
            name, owner=owner, if_unused=if_unused, if_empty=if_empty
        )

    def pause_queue(self, name: str, paused: bool) -> None:
        """See `QueueTools.pause` and `resume`. Raises as `read_queue`."""
        self._check("configure", "queue", name)
        queue = self.virtual_host.find_queue(name)
        tools = self.virtual_host.queue_tools
        if paused:
            tools.pause(queue)
        else:
            tools.resume(queue)

    def rewind_queue(
        self, name: str, target: Target, done: Callable[[int | BaseException], None]
    ) -> None:
        """See `QueueTools.rewind`. Also raises as `read_queue`."""
        self._check("configure", "queue", name)
        queue = self.read_queue(name)
        self.virtual_host.queue_tools.rewind(queue, target, done)

    def put_back(
        self,
        name: str,
        choice: Choice,
        destination: Destination | None,
        done: Callable[[Outcome | Exception], None],
    ) -> None:
        """See `QueueTools.put_back`: with the right to read there, and to publish."""
        queue = self.read_queue(name)
        self.virtual_host.queue_tools.put_back(queue, self, choice, destination, done)

    # Bindings

    def bind(self, wanted: BindingDeclaration, owner: object | None = None) -> Queue | Exchange:
        """See `Topology`. Also raises `AccessRefusedError`."""
        self._check_binding(wanted)
        return self.virtual_host.bind(wanted, owner)

    def unbind(self, wanted: BindingDeclaration, owner: object | None = None) -> None:
        """See `Topology`. Also raises `AccessRefusedError`."""
        self._check_binding(wanted)
        self.virtual_host.unbind(wanted, owner)

    # Messages

    def route(
        self,
        exchange: str,
        routing_key: str,
        header: Header | None,
        more_keys: Sequence[str] = (),
    ) -> Route:
        """See `VirtualHost`. Also raises `AccessRefusedError`."""
        self._check("write", "exchange", exchange)
        found = self.exchanges.get(exchange)
        if found is not None and found.type == "topic" and not found.internal:
            for key in (routing_key, *more_keys):
                self._check_topic("write", exchange, key)
        return self.virtual_host.route(exchange, routing_key, header, more_keys)

    def cancel_delayed(self, id: TimerId) -> bool:
        """Who may publish a message may cancel it while it waits; False if there is none.

        Raises `AccessRefusedError`.
        """
        delays = self.virtual_host.delays
        delayed = delays.find(id)
        if delayed is None:
            return False
        self._check("write", "exchange", delayed.message[0].exchange)
        return delays.cancel(id)

    # The rest is private

    def _check_leading_on(
        self, kind: str, name: str, existing: Queue | Exchange | None, exchange: object
    ) -> None:
        """May what is declared lead on to this exchange, if it is one, and if that is heeded?"""
        is_heeded = existing is None or is_applied(existing.policies)
        if isinstance(exchange, str) and is_heeded:
            self._check("read", kind, name)
            self._check("write", "exchange", exchange)

    def _check_binding(self, wanted: BindingDeclaration) -> None:
        destination, source = clean_name(wanted.destination), clean_name(wanted.source)
        self._check("write", wanted.kind, destination)
        if not source or (wanted.kind == "exchange" and not destination):
            return  # Refused to everybody, in other words.
        self._check("read", "exchange", source)
        found = self.exchanges.get(source)
        if found is not None and found.type == "topic":
            self._check_topic("read", source, wanted.routing_key)

    def _check(self, access: str, kind: str, name: str) -> None:
        name = name or "amq.default"
        permission = self._permissions.find(self.user, self.name)
        if permission is None or not permission.allows(access, name):
            raise AccessRefusedError(
                f"{access} access to {kind} '{name}' in vhost '{self.name}'"
                f" refused for user '{self.user}'"
            )

    def _check_topic(self, access: str, exchange: str, routing_key: str) -> None:
        permission = self._permissions.find_topic(self.user, self.name, exchange)
        if permission is not None and not permission.allows(access, routing_key):
            raise AccessRefusedError(
                f"{access} access to topic '{routing_key}' in exchange '{exchange}'"
                f" in vhost '{self.name}' refused for user '{self.user}'"
            )
