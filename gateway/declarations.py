"""What somebody asks for who declares a queue, an exchange or a binding, as one value.

A front end makes it of what its client said; the checks, the comparison with what exists, and the
making take it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, NamedTuple

_NO_ARGUMENTS: Mapping[str, object] = MappingProxyType({})


class QueueDeclaration(NamedTuple):
    """A queue as somebody wants it; one without a name gets one.

    One that is `exclusive` belongs to whoever declares it, and is gone with him.
    """

    name: str
    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, object] = _NO_ARGUMENTS


class ExchangeDeclaration(NamedTuple):
    """An exchange as somebody wants it. To one that is `internal` nobody can publish."""

    name: str
    type: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, object] = _NO_ARGUMENTS


@dataclass(frozen=True, slots=True)
class BindingDeclaration:
    """A binding that somebody wants to be there, or to be gone."""

    kind: ClassVar[str]  # Of its destination.
    destination: str
    source: str
    routing_key: str
    arguments: Mapping[str, object] = field(default_factory=dict)


class QueueBinding(BindingDeclaration):
    """One that leads from an exchange to a queue."""

    __slots__ = ()
    kind = "queue"


class ExchangeBinding(BindingDeclaration):
    """One that leads from an exchange to another one."""

    __slots__ = ()
    kind = "exchange"
