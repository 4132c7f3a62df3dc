"""Exchanges: topics that know where their messages go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.declarations import ExchangeDeclaration
from gateway.errors import PreconditionFailedError
from gateway.exchanges.asked_keys import AskedKeys, Fits, fits_any, fits_key, fits_pattern
from gateway.exchanges.bindings import (
    Arguments,
    Binding,
    Bindings,
    DirectBindings,
    FanoutBindings,
    TopicBindings,
)
from gateway.exchanges.delayed_exchanges import TYPE as DELAYED_TYPE
from gateway.exchanges.delayed_exchanges import matching_type
from gateway.exchanges.hashing_bindings import (
    ConsistentHashBindings,
    ModulusHashBindings,
    check_hash,
)
from gateway.exchanges.header_bindings import HeaderBindings
from gateway.exchanges.random_bindings import LocalRandomBindings, RandomBindings
from gateway.exchanges.recent_history import (
    RecentHistoryBindings,
    check_history,
    history_length,
    is_kept,
)
from gateway.exchanges.selecting_bindings import SelectingBindings
from gateway.policies.policies import NO_POLICIES

if TYPE_CHECKING:
    from gateway.messages import Header
    from gateway.queues.queue import Queue


def _accept(arguments: Arguments) -> None:
    """Arguments that mean nothing to a type may be anything."""


@dataclass(frozen=True)
class ExchangeType:
    """What a type of exchanges is: the form of its bindings, and the check of its arguments.

    `history_length` says how many messages an exchange keeps for those who bind later; `fits`, to
    which routing keys a binding may matter.
    """

    make_bindings: Callable[[Exchange], Bindings]
    check: Callable[[Arguments], None] = _accept
    history_length: Callable[[Arguments], int] | None = None
    fits: Fits = fits_any


TYPES = {
    "direct": ExchangeType(lambda _: DirectBindings(), fits=fits_key),
    "fanout": ExchangeType(lambda _: FanoutBindings()),
    "topic": ExchangeType(lambda _: TopicBindings(), fits=fits_pattern),
    "headers": ExchangeType(lambda _: HeaderBindings()),
    "x-consistent-hash": ExchangeType(
        lambda exchange: ConsistentHashBindings(exchange.arguments), check_hash
    ),
    "x-jms-topic": ExchangeType(lambda exchange: SelectingBindings(exchange.name)),
    "x-local-random": ExchangeType(lambda _: LocalRandomBindings()),
    "x-modulus-hash": ExchangeType(lambda _: ModulusHashBindings()),
    "x-random": ExchangeType(lambda _: RandomBindings()),
    "x-recent-history": ExchangeType(
        lambda _: RecentHistoryBindings(), check_history, history_length
    ),
}


def refuse_unknown_type(type: str) -> None:
    """RabbitMQ does so before it looks who declares an exchange, and which.

    Raises `PreconditionFailedError`.
    """
    if type not in TYPES and type != DELAYED_TYPE:
        raise PreconditionFailedError(f"unknown exchange type '{type}'")


PREDECLARED = (
    ExchangeDeclaration("", "direct", durable=True),
    ExchangeDeclaration("amq.direct", "direct", durable=True),
    ExchangeDeclaration("amq.fanout", "fanout", durable=True),
    ExchangeDeclaration("amq.topic", "topic", durable=True),
    ExchangeDeclaration("amq.headers", "headers", durable=True),
    ExchangeDeclaration("amq.match", "headers", durable=True),
    ExchangeDeclaration("amq.rabbitmq.trace", "topic", durable=True, internal=True),
)


class Exchange:
    """One exchange and its bindings as a source.

    `tap` is the queue, if any, that gets a copy of everything, for readers of the topic; `history`
    the one that keeps the last messages for those who bind later.
    """

    def __init__(self, virtual_host: str, declared: ExchangeDeclaration) -> None:
        self.virtual_host = virtual_host
        self.name: str = declared.name
        self.type = declared.type
        self.durable = declared.durable
        self.auto_delete = declared.auto_delete
        self.internal = declared.internal
        self.arguments: dict[str, object] = dict(declared.arguments)
        self.policies = NO_POLICIES
        self.unequal_declaration: str | None = None  # The last one that a policy let pass.
        self.bindings: dict[Binding, None] = {}
        self._rules = TYPES[matching_type(self.type, self.arguments, TYPES)]
        self.matcher = self._rules.make_bindings(self)
        self.asked_keys = AskedKeys(self._rules.fits)
        self.tap: Queue | None = None
        self.history: Queue | None = None

    @property
    def alternate(self) -> str | None:
        """The exchange that gets what this one cannot route."""
        key = "alternate-exchange"
        name = self.arguments.get(key, self.policies.definition.get(key))
        return name if isinstance(name, str) else None

    @property
    def history_length(self) -> int:
        """How many messages it keeps for those who bind later."""
        length = self._rules.history_length
        return length(self.arguments) if length is not None else 0

    def keepers(self, header: Header | None) -> list[Queue]:
        """The queues that get a copy of this message whoever is bound."""
        keepers = [] if self.tap is None else [self.tap]
        if self.history is not None and is_kept(header):
            keepers.append(self.history)
        return keepers

    def add(self, binding: Binding) -> bool:
        """Add a binding; False if it was there already."""
        if binding in self.bindings:
            return False
        self.matcher.add(binding)
        self.bindings[binding] = None
        return True

    def remove(self, binding: Binding) -> bool:
        """Remove a binding; False if it was not there."""
        if binding not in self.bindings:
            return False
        self.matcher.remove(binding)
        del self.bindings[binding]
        return True

    def __str__(self) -> str:
        return f"exchange '{self.name}' in vhost '{self.virtual_host}'"
