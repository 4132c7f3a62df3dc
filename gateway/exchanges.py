"""Exchanges: topics that know where their messages go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.bindings import (
    Arguments,
    Binding,
    Bindings,
    DirectBindings,
    FanoutBindings,
    HeaderBindings,
    TopicBindings,
)
from gateway.delayed_exchanges import matching_type
from gateway.policies import NO_POLICIES

if TYPE_CHECKING:
    from gateway.queues import Queue

TYPES: dict[str, type[Bindings]] = {
    "direct": DirectBindings,
    "fanout": FanoutBindings,
    "topic": TopicBindings,
    "headers": HeaderBindings,
}

PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
}


class Exchange:
    """One exchange and its bindings as a source.

    `tap` is the queue, if any, that gets a copy of everything, for readers of the topic.
    """

    def __init__(
        self,
        virtual_host: str,
        name: str,
        type: str,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Arguments,
    ) -> None:
        self.virtual_host = virtual_host
        self.name = name
        self.type = type
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = dict(arguments)
        self.policies = NO_POLICIES
        self.unequal_declaration: str | None = None  # The last one that a policy let pass.
        self.bindings: dict[Binding, None] = {}
        self.matcher: Bindings = TYPES[matching_type(type, arguments, TYPES)]()
        self.tap: Queue | None = None

    @property
    def alternate(self) -> str | None:
        """The exchange that gets what this one cannot route."""
        key = "alternate-exchange"
        name = self.arguments.get(key, self.policies.definition.get(key))
        return name if isinstance(name, str) else None

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
