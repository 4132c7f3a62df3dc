"""What becomes of a declaration that contradicts what exists: its policy's key `redeclare` says.

`strict`: it is refused, as RabbitMQ does. `warn`: it is accepted and changes nothing, but is logged
and remembered with the queue or exchange. `apply`: what can be changed in place is taken over, and
what cannot be is refused.
"""

from __future__ import annotations

from twisted.logger import Logger

from gateway.declarations import QueueDeclaration
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments
from gateway.exchanges.exchange import Exchange
from gateway.policies.equivalence import check_exchange, check_field
from gateway.policies.policies import HeldPolicies
from gateway.queues.arguments import check_arguments, check_equivalent
from gateway.queues.queue import Queue

_log = Logger()

# What a queue looks at again while it lives; and what means nothing here.
_CHANGEABLE = frozenset(
    (
        "x-consumer-timeout",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-delivery-limit",
        "x-expire-behind-head",
        "x-expires",
        "x-max-age",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-max-length",
        "x-max-length-bytes",
        "x-message-ttl",
        "x-overflow",
        "x-queue-leader-locator",
        "x-queue-master-locator",
        "x-queue-mode",
        "x-queue-version",
    )
)
_ALTERNATE = "alternate-exchange"


def is_applied(policies: HeldPolicies) -> bool:
    """Does another declaration change what these policies hold for?"""
    return policies.definition.get("redeclare") == "apply"


def redeclare_queue(queue: Queue, wanted: QueueDeclaration) -> Arguments | None:
    """The arguments that the queue has from now on; None if it stays as it is.

    Raises `PreconditionFailedError`.
    """
    taken: Arguments = queue.arguments
    try:
        check_field("durable", wanted.durable, queue.durable, queue)
        check_field("auto_delete", wanted.auto_delete, queue.auto_delete, queue)
        if is_applied(queue.policies):
            taken = _take_over(queue, wanted.arguments)
        check_equivalent(wanted.arguments, taken, str(queue))
    except PreconditionFailedError as error:
        _refuse_or_warn(queue, error)
        return None
    return None if taken == queue.arguments else taken


def redeclare_exchange(exchange: Exchange, wanted: Exchange) -> Arguments | None:
    """The arguments that the exchange has from now on; None if it stays as it is.

    Raises `PreconditionFailedError`.
    """
    alternate = wanted.arguments.get(_ALTERNATE)
    taken: Arguments = exchange.arguments
    if is_applied(exchange.policies) and isinstance(alternate, str | None):
        taken = {name: taken[name] for name in taken if name != _ALTERNATE}
        if alternate is not None:
            taken = {**taken, _ALTERNATE: alternate}
    try:
        check_exchange(wanted, exchange, taken)
    except PreconditionFailedError as error:
        _refuse_or_warn(exchange, error)
        return None
    return None if taken == exchange.arguments else taken


def _take_over(queue: Queue, arguments: Arguments) -> Arguments:
    check_arguments(arguments, str(queue))
    own = queue.arguments
    kept = {name: own[name] for name in own if name not in _CHANGEABLE}
    return kept | {name: arguments[name] for name in arguments if name in _CHANGEABLE}


def _refuse_or_warn(declared: Queue | Exchange, error: PreconditionFailedError) -> None:
    """Raise the error, unless a policy says that it is none."""
    if declared.policies.definition.get("redeclare") != "warn":
        raise error
    if declared.unequal_declaration != str(error):
        declared.unequal_declaration = str(error)
        _log.warn("accepted, though it changes nothing: {difference}", difference=str(error))
