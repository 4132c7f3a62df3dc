"""A virtual host: a namespace of exchanges, queues and bindings, and how they map onto the core.

Durable ones are documents of the core's metadata; the rest is forgotten with the process. The words
of the errors are RabbitMQ's (spec: the failure table of AMQP 0-9-1 as RabbitMQ serves it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from core.broker import Broker
from core.light_queue import LightQueue
from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from gateway.delays.delays import Delays
from gateway.errors import (
    AccessRefusedError,
    NotFoundError,
    PreconditionFailedError,
    ResourceLockedError,
)
from gateway.exchanges.delayed_exchanges import matching_type
from gateway.exchanges.exchange import PREDECLARED, TYPES, Exchange, refuse_unknown_type
from gateway.exchanges.keepers import Keepers
from gateway.messages import Language
from gateway.policies.policies import Policies
from gateway.policies.redeclaring import redeclare_exchange, redeclare_queue
from gateway.queues.arguments import check_arguments
from gateway.queues.classes import queue_class
from gateway.queues.dead_letters import DeadLetters
from gateway.queues.queue import Queue
from gateway.queues.tools import QueueTools
from gateway.queues.types import check_lasting, check_named, find_type, with_default_type
from gateway.values import type_name
from gateway.vhosts.intake import Intake
from gateway.vhosts.metadata import (
    exchange_document,
    exchange_key,
    queue_document,
    read_exchange,
    read_queue,
)
from gateway.vhosts.names import clean_name, random_name, refuse_reserved
from gateway.vhosts.routing import Routing
from gateway.vhosts.topics import Topics
from gateway.vhosts.topology import Topology


class VirtualHost:
    """One namespace. `changed` is called at every change of what a route depends on."""

    def __init__(
        self,
        name: str,
        broker: Broker,
        changed: Callable[[], None],
        clock: IReactorTime,
        languages: Mapping[int, Language],
    ) -> None:
        self.name = name
        self.description = ""
        self.tags: tuple[str, ...] = ()
        self.default_queue_type = "classic"
        self.limits: dict[str, int] = {}  # Those below 0 are none.
        self.policies = Policies(name, broker, self.follow_policies)
        self.clock = clock
        self.dead_letters = DeadLetters(self, languages)
        self.delays = Delays(self, broker, languages)
        self._keepers = Keepers(self, broker, languages)
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        self._routing = Routing(self, broker, changed)
        self.route = self._routing.route
        self.route_to = self._routing.route_to
        self.find_targets = self._routing.find_targets
        self.intake = Intake(broker, self.delays, self._routing.table, self._store_queue)
        self._broker = broker
        self._changed = changed
        self._owned: dict[object, dict[Queue, None]] = {}
        self._topology = Topology(self, broker, self._keepers, changed)
        self.bind = self._topology.bind
        self.unbind = self._topology.unbind
        topics = Topics(self, self._keepers, self._routing.table.queues, changed)
        self.topic_queue = topics.queue
        self.topic_route = topics.route
        self.holders = topics.holders
        self.commit_group_offset = broker.commit_group_offset
        self.queue_tools = QueueTools(name, broker, clock, languages)
        for declared in PREDECLARED:
            self.exchanges[declared.name] = Exchange(name, declared)

    # Exchanges

    def find_exchange(self, name: str) -> Exchange:
        """The exchange of this name. Raises `NotFoundError`."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise NotFoundError(f"no exchange '{name}' in vhost '{self.name}'")
        return exchange

    def declare_exchange(self, wanted: ExchangeDeclaration) -> Exchange:
        """Create an exchange, or find an equivalent one.

        Raises `AccessRefusedError` or `PreconditionFailedError`.
        """
        refuse_unknown_type(wanted.type)
        wanted = wanted._replace(name=clean_name(wanted.name))
        if not wanted.name:
            raise AccessRefusedError("operation not permitted on the default exchange")
        existing = self.exchanges.get(wanted.name)
        if existing is not None:
            self._redeclare_exchange(existing, wanted)
            return existing
        if wanted.name.startswith("amq."):
            raise AccessRefusedError(
                f"exchange name '{wanted.name}' contains reserved prefix 'amq.*'"
            )
        TYPES[matching_type(wanted.type, wanted.arguments, TYPES)].check(wanted.arguments)
        exchange = Exchange(self.name, wanted)
        alternate = wanted.arguments.get("alternate-exchange", "")
        if not isinstance(alternate, str):
            raise PreconditionFailedError(
                f"invalid type '{type_name(alternate)}' for arg 'alternate-exchange' in {exchange}"
            )
        self._store_exchange(exchange)
        self._add_exchange(exchange)
        self._keepers.begin(exchange)
        self._changed()
        return exchange

    def delete_exchange(self, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings; a missing one is no error.

        Raises `AccessRefusedError` or `PreconditionFailedError`.
        """
        name = clean_name(name)
        if not name:
            raise AccessRefusedError("operation not permitted on the default exchange")
        if name.startswith("amq."):
            shown = f"exchange '{name}' in vhost '{self.name}'"
            raise AccessRefusedError(f"deletion of system {shown} not allowed")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise PreconditionFailedError(f"{exchange} in use")
        self.remove_exchange(exchange)

    def remove_exchange(self, exchange: Exchange) -> None:
        """Remove an exchange and its bindings."""
        if self.exchanges.pop(exchange.name, None) is None:
            return
        self._changed()
        self._broker.delete_document("exchange", exchange_key(self.name, exchange.name))
        self._topology.unbind_all([(exchange, binding) for binding in exchange.bindings])
        self._topology.remove_bindings_to(exchange)
        self.delays.drop(exchange.name)
        self._keepers.end(exchange)

    # Queues

    def find_queue(self, name: str, owner: object | None = None) -> Queue:
        """The queue of this name, for `owner`. Raises `NotFoundError`, `ResourceLockedError`."""
        queue = self.queues.get(name)
        if queue is None:
            raise NotFoundError(f"no queue '{name}' in vhost '{self.name}'")
        if queue.exclusive_owner is not None and queue.exclusive_owner is not owner:
            raise _locked(queue)
        return queue

    def declare_queue(
        self, wanted: QueueDeclaration, owner: object | None = None, *, imported: bool = False
    ) -> Queue:
        """Create a queue, or find an equivalent one, for `owner`; an empty name makes one up.

        One that is `imported` may have a name that was made up.
        Raises `AccessRefusedError`, `PreconditionFailedError` or `ResourceLockedError`.
        """
        assert owner is not None or not wanted.exclusive, "what is exclusive is somebody's"
        name, durable = clean_name(wanted.name), wanted.durable and not wanted.exclusive
        wanted = with_default_type(
            wanted._replace(name=name, durable=durable), self.default_queue_type
        )
        type = find_type(wanted.arguments)
        check_named(type, name)
        if not imported:
            refuse_reserved(name)
        if not name:
            wanted = wanted._replace(name="amq.gen-" + random_name())
        existing = self.queues.get(wanted.name)
        if existing is not None:
            if existing.exclusive != wanted.exclusive:
                raise _locked(existing)
            self._redeclare_queue(self.find_queue(wanted.name, owner), wanted)
            return existing
        self._check_queue_count(wanted.name)
        described = f"queue '{wanted.name}' in vhost '{self.name}'"
        check_arguments(wanted.arguments, described)
        check_lasting(type, wanted, described)
        document = queue_document(self.name, wanted) if durable else None
        queue = self._add_queue(wanted, self._broker.declare_queue(document), owner)
        queue.touch()
        return queue

    def make_reply_queue(self, prefix: str, owner: object) -> Queue:
        """A queue for replies to `owner`, gone with its consumer; nobody can guess its name."""
        wanted = QueueDeclaration(prefix + random_name(), exclusive=True, auto_delete=True)
        return self._add_queue(wanted, self._broker.declare_queue(None), owner)

    def delete_queue(
        self,
        name: str,
        *,
        owner: object | None = None,
        if_unused: bool = False,
        if_empty: bool = False,
    ) -> int:
        """Delete a queue; return how many ready messages went with it, 0 if there is no queue.

        Raises `PreconditionFailedError` or `ResourceLockedError`.
        """
        name = clean_name(name)
        if name not in self.queues:
            return 0
        queue = self.find_queue(name, owner)
        count = queue.check_delete(if_unused, if_empty)
        self.remove_queue(queue)
        return count

    def remove_queue(self, queue: Queue) -> None:
        """Remove a queue and its bindings, and tell its consumers."""
        if self.queues.get(queue.name) is not queue:
            return
        self.queue_tools.resume(queue)  # A new one of this name is not paused.
        del self.queues[queue.name]
        self._routing.remove(queue)
        if queue.exclusive_owner is not None:
            self._owned.get(queue.exclusive_owner, {}).pop(queue, None)
        self._topology.remove_bindings_to(queue)
        is_routed = self._broker.is_routed(queue.light)
        self._broker.delete_queue(queue.light)
        if is_routed:
            self._changed()
        queue.deleted()

    def release_owner(self, owner: object) -> None:
        """A connection is gone: so are its exclusive queues."""
        for queue in list(self._owned.get(owner, ())):
            self.remove_queue(queue)
        self._owned.pop(owner, None)

    def remove_everything(self) -> None:
        """Remove all queues and exchanges: the virtual host is being deleted."""
        for queue in list(self.queues.values()):
            self.remove_queue(queue)
        for exchange in list(self.exchanges.values()):
            self.remove_exchange(exchange)
        self.delays.drop_all()
        self.policies.delete_all()

    def follow_policies(self) -> None:
        """Others may hold than before: have every queue and exchange follow those that do."""
        for queue in self.queues.values():
            held = self.policies.for_queue(queue.name, queue.type.name)
            if held == queue.policies:
                continue
            history = queue.ttl_history
            queue.follow(held)
            if queue.ttl_history != history:
                self._store_queue(queue)
        for exchange in self.exchanges.values():
            exchange.policies = self.policies.for_exchange(exchange.name)
        self._changed()

    # Recovery

    def restore_exchange(self, document: list[Any]) -> None:
        """Bring back a durable exchange."""
        self._add_exchange(Exchange(self.name, read_exchange(document)))

    def restore_queue(self, document: list[Any], light: LightQueue) -> None:
        """Bring back a durable queue, or the tap of an exchange."""
        _, name, _, _, more = document
        if self._keepers.restore(self.exchanges.get(name), more, light):
            return
        history = [(since, time) for since, time in more.get("ttl_history", ())]
        queue = self._add_queue(read_queue(document), light, ttl_history=history)
        if "may_expire" in more:
            queue.expects_expiry = True
            queue.keep_up()

    def restore_binding(self, document: list[Any]) -> None:
        """Bring back a durable binding."""
        self._topology.restore(document)

    def restored(self) -> None:
        """Everything is back: see to what happened to the queues meanwhile."""
        for exchange in self.exchanges.values():
            self._keepers.begin(exchange)
        self.queue_tools.restore(self.queues.values())
        for exchange in self.exchanges.values():
            exchange.policies = self.policies.for_exchange(exchange.name)
        for queue in self.queues.values():
            queue.restored()
            queue.touch()

    def stop(self) -> None:
        """Wait for no time any more."""
        for queue in self.queues.values():
            queue.stop()

    # The rest is private

    def _redeclare_exchange(self, exchange: Exchange, wanted: ExchangeDeclaration) -> None:
        changed = redeclare_exchange(exchange, Exchange(self.name, wanted))
        if changed is not None:
            exchange.arguments = dict(changed)
            self._store_exchange(exchange)
            self._changed()

    def _redeclare_queue(self, queue: Queue, wanted: QueueDeclaration) -> None:
        changed = redeclare_queue(queue, wanted)
        if changed is not None:
            queue.redefine(changed)
            self._store_queue(queue)
            self._changed()
        queue.touch()

    def _check_queue_count(self, name: str) -> None:
        limit = self.limits.get("max-queues", -1)
        if 0 <= limit <= len(self.queues):
            raise PreconditionFailedError(
                f"cannot declare queue '{name}':"
                f" queue limit in vhost '{self.name}' ({limit}) is reached"
            )

    def _store_exchange(self, exchange: Exchange) -> None:
        if exchange.durable:
            key = exchange_key(self.name, exchange.name)
            self._broker.put_document("exchange", key, exchange_document(exchange))

    def _add_exchange(self, exchange: Exchange) -> None:
        exchange.policies = self.policies.for_exchange(exchange.name)
        self.exchanges[exchange.name] = exchange

    def _add_queue(
        self,
        declared: QueueDeclaration,
        light: LightQueue,
        owner: object | None = None,
        ttl_history: Sequence[tuple[int, int | None]] = (),
    ) -> Queue:
        type = find_type(declared.arguments)
        policies = self.policies.for_queue(declared.name, type.name)
        make, turn = queue_class(type), self._broker.turn
        lanes = make.arrange(self._broker, light, declared.arguments)
        queue = make(self, declared, lanes, turn, owner, policies, ttl_history)
        self.queues[queue.name] = queue
        self._routing.add(queue)
        if queue.exclusive:
            self._owned.setdefault(owner, {})[queue] = None
        return queue

    def _store_queue(self, queue: Queue) -> None:
        """What a restart has to know of a queue has changed, if it has to know of it at all."""
        if queue.durable:
            self._broker.update_queue(queue.light, queue_document(self.name, queue))


def _locked(queue: Queue) -> ResourceLockedError:
    return ResourceLockedError(
        f"cannot obtain exclusive access to locked {queue}. It could be originally declared on"
        " another connection or the exclusive property value does not match that of the original"
        " declaration."
    )
