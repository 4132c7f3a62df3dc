"""The types of queues: what each is called, and which arguments it knows.

What a type does differently is its class, see `gateway.queues.classes`; what its arguments may be,
`gateway.queues.arguments`. The tables are RabbitMQ's (`capabilities/0` of each type). An argument
that only other types know is refused; one that none knows is kept, and means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from gateway.declarations import QueueDeclaration
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments


@dataclass(frozen=True, slots=True)
class QueueType:
    """One type; `module` is what RabbitMQ's texts call it.

    `arguments` are in the order in which two declarations are compared. One that `must_last` is
    durable, has a name of its own, and is neither exclusive nor deleted automatically; what is
    stored in it is kept over a restart whether it is persistent or not. From one that is not
    `is_consumed` nothing is taken.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    consumer_arguments: tuple[str, ...]
    must_last: bool = False
    is_consumed: bool = True


CLASSIC = QueueType(
    "classic",
    "rabbit_classic_queue",
    (
        "x-expires",
        "x-message-ttl",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-overflow",
        "x-queue-mode",
        "x-queue-version",
        "x-single-active-consumer",
        "x-queue-type",
        "x-queue-leader-locator",
        "x-queue-master-locator",
        "x-expire-behind-head",
    ),
    ("x-cancel-on-ha-failover", "x-priority"),
)
QUORUM = QueueType(
    "quorum",
    "rabbit_quorum_queue",
    (
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-overflow",
        "x-single-active-consumer",
        "x-queue-type",
        "x-quorum-initial-group-size",
        "x-delivery-limit",
        "x-message-ttl",
        "x-queue-leader-locator",
        "x-consumer-timeout",
        "x-expire-behind-head",
    ),
    ("x-priority",),
    must_last=True,
)
STREAM = QueueType(
    "stream",
    "rabbit_stream_queue",
    (
        "x-max-length-bytes",
        "x-queue-type",
        "x-max-age",
        "x-stream-max-segment-size-bytes",
        "x-stream-filter-size-bytes",
        "x-initial-cluster-size",
        "x-queue-leader-locator",
    ),
    ("x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"),
    must_last=True,
    is_consumed=False,
)

_ALL = (CLASSIC, QUORUM, STREAM)
_ARGUMENTS = frozenset(chain.from_iterable(type.arguments for type in _ALL))
_CONSUMER_ARGUMENTS = frozenset(chain.from_iterable(type.consumer_arguments for type in _ALL))

TYPES = {type.name: type for type in _ALL}


def find_type(arguments: Arguments) -> QueueType:
    """The type that the arguments of a queue ask for; classic if they name none that there is."""
    name = arguments.get("x-queue-type")
    return TYPES.get(name, CLASSIC) if isinstance(name, str) else CLASSIC


def with_default_type(wanted: QueueDeclaration, name: str) -> QueueDeclaration:
    """What is wanted, of the type that a virtual host gives to queues which name none.

    A queue that cannot be of that type stays classic.
    """
    type = TYPES.get(name, CLASSIC)
    lasts = wanted.durable and not wanted.exclusive and not wanted.auto_delete
    if "x-queue-type" in wanted.arguments or type is CLASSIC or (type.must_last and not lasts):
        return wanted
    return wanted._replace(arguments={**wanted.arguments, "x-queue-type": type.name})


def check_named(type: QueueType, name: str) -> None:
    """Raise `PreconditionFailedError` for a queue without a name that must have one."""
    if type.must_last and not name:
        raise PreconditionFailedError(f"Cannot declare a server-named queue for type {type.module}")


def check_known(type: QueueType, arguments: Arguments, queue: str) -> None:
    """Raise `PreconditionFailedError` for an argument of `queue` that only other types know."""
    _check_foreign(type, arguments, _ARGUMENTS.difference(type.arguments), queue)


def check_consumer_known(type: QueueType, arguments: Arguments, queue: str) -> None:
    """The same, of a consumer's arguments."""
    _check_foreign(type, arguments, _CONSUMER_ARGUMENTS.difference(type.consumer_arguments), queue)


def check_lasting(type: QueueType, wanted: QueueDeclaration, queue: str) -> None:
    """Raise `PreconditionFailedError` if a queue of this type cannot be declared so."""
    if not type.must_last:
        return
    for refused, name in (
        (wanted.auto_delete, "auto-delete"),
        (wanted.exclusive, "exclusive-owner"),
        (not wanted.durable, "non-durable"),
    ):
        if refused:
            raise PreconditionFailedError(f"invalid property '{name}' for {queue}")


def _check_foreign(
    type: QueueType, arguments: Iterable[str], foreign: Iterable[str], queue: str
) -> None:
    for name in arguments:
        if name in foreign:
            raise PreconditionFailedError(
                f"invalid arg '{name}' for {queue} of queue type {type.module}"
            )
