"""The arguments of a queue: what each may be, what they mean, which must not change.

Rules and texts are those of RabbitMQ's classic queues (`rabbit_amqqueue:declare_args/0`). Arguments
that no type of queue knows are kept and mean nothing, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.bindings import Arguments
from gateway.errors import PreconditionFailedError
from gateway.values import is_integer, type_name

EXPIRY_MAX_MS = 315_360_000_000  # Ten years.
_PRIORITY_MAX = 255
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_MODES = ("default", "lazy")
_LOCATORS = ("client-local", "balanced")

# What only the other types of queue have: RabbitMQ refuses it for a classic one.
_OF_OTHER_TYPES = frozenset(
    (
        "x-consumer-timeout",
        "x-dead-letter-strategy",
        "x-delivery-limit",
        "x-initial-cluster-size",
        "x-max-age",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-quorum-initial-group-size",
        "x-stream-filter-size-bytes",
        "x-stream-max-segment-size-bytes",
    )
)


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """What the arguments ask for; None is without."""

    message_ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int | None = None
    single_active_consumer: bool = False


def parse_options(arguments: Arguments) -> QueueOptions:
    """The meaning of arguments that were checked before."""
    known: dict[str, Any] = {
        field: arguments[name] for name, field in _FIELDS.items() if name in arguments
    }
    return QueueOptions(**known)


_FIELDS = {
    "x-message-ttl": "message_ttl_ms",
    "x-expires": "expires_ms",
    "x-max-length": "max_length",
    "x-max-length-bytes": "max_length_bytes",
    "x-overflow": "overflow",
    "x-dead-letter-exchange": "dead_letter_exchange",
    "x-dead-letter-routing-key": "dead_letter_routing_key",
    "x-max-priority": "max_priority",
    "x-single-active-consumer": "single_active_consumer",
}


def check_arguments(arguments: Arguments, queue: str) -> None:
    """Raise `PreconditionFailedError` for an argument that `queue`, so described, cannot have."""
    exchange = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(exchange, str):
        raise PreconditionFailedError(
            f"invalid type '{type_name(exchange)}' for arg 'x-dead-letter-exchange' in {queue}"
        )
    for name, check in _CHECKS.items():
        if name in arguments and (reason := check(arguments[name], arguments)):
            raise PreconditionFailedError(f"invalid arg '{name}' for {queue}: {reason}")
    for name in arguments:
        if name in _OF_OTHER_TYPES:
            raise PreconditionFailedError(
                f"invalid arg '{name}' for {queue} of queue type rabbit_classic_queue"
            )


def check_equivalent(wanted: Arguments, current: Arguments, queue: str) -> None:
    """Raise `PreconditionFailedError` unless a queue declared so is the same.

    Numbers are compared whatever their width.
    """
    for name in _COMPARED:
        default = "classic" if name == "x-queue-type" else None
        check_argument(name, wanted.get(name, default), current.get(name, default), queue)


def check_argument(name: str, wanted: object, current: object, owner: object) -> None:
    """Raise `PreconditionFailedError` if an argument differs from what it is now."""
    if wanted == current and isinstance(wanted, bool) is isinstance(current, bool):
        return
    if wanted is None or current is None:
        received, now = _described(wanted), _described(current)
    else:
        received, now = f"'{text(wanted)}'", f"'{text(current)}'"
    raise PreconditionFailedError(
        f"inequivalent arg '{name}' for {owner}: received {received} but current is {now}"
    )


def consumer_priority(arguments: Arguments, queue: str) -> int:
    """The priority of a consumer of `queue`, so described. Raises `PreconditionFailedError`."""
    for name, check in (("x-priority", check_integer), ("x-cancel-on-ha-failover", _boolean)):
        if name in arguments and (reason := check(arguments[name], arguments)):
            raise PreconditionFailedError(f"invalid arg '{name}' for {queue}: {reason}")
    for name in arguments:
        if name.startswith("x-stream-"):
            raise PreconditionFailedError(
                f"invalid arg '{name}' for {queue} of queue type rabbit_classic_queue"
            )
    priority: Any = arguments.get("x-priority", 0)
    return int(priority)


def check_integer(value: Any, _: Arguments) -> str:
    """Why the value is not a whole number; nothing if it is."""
    return "" if is_integer(value) else f'"expected integer, got {type_name(value)}"'


def text(value: object) -> str:
    """A value as RabbitMQ's texts show it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _described(value: object) -> str:
    if value is None:
        return "none"
    return f"the value '{text(value)}' of type '{type_name(value)}'"


def _not_negative(value: Any, arguments: Arguments) -> str:
    reason = check_integer(value, arguments)
    return reason or ("" if value >= 0 else f"{{value_negative,{value}}}")


def _ttl(value: Any, arguments: Arguments) -> str:
    reason = _not_negative(value, arguments)
    return reason or ("" if value <= EXPIRY_MAX_MS else f"{{value_too_large,{value}}}")


def _expires(value: Any, arguments: Arguments) -> str:
    reason = _ttl(value, arguments)
    return reason or ("" if value else "{value_zero,0}")


def _priority(value: Any, arguments: Arguments) -> str:
    reason = _not_negative(value, arguments)
    return reason or ("" if value <= _PRIORITY_MAX else f"{{max_value_exceeded,{value}}}")


def _of_type(value: Any, wanted: type) -> str:
    return "" if isinstance(value, wanted) else f"{{unacceptable_type,{type_name(value)}}}"


def _string(value: Any, _: Arguments) -> str:
    return _of_type(value, str)


def _boolean(value: Any, _: Arguments) -> str:
    return _of_type(value, bool)


def _dead_letter_routing_key(value: Any, arguments: Arguments) -> str:
    has_exchange = "x-dead-letter-exchange" in arguments
    return _of_type(value, str) or ("" if has_exchange else "routing_key_but_no_dlx_defined")


def _overflow(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or ("" if value in _OVERFLOWS else "invalid_overflow")


def _queue_mode(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or (
        "" if value in _MODES else f"\"unsupported queue mode '{value}'\""
    )


def _queue_version(value: Any, arguments: Arguments) -> str:
    return _not_negative(value, arguments) or (
        "" if value in (1, 2) else f"\"unsupported queue version '{value}'\""
    )


def _queue_type(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or (
        "" if value == "classic" else f"\"unsupported queue type '{value}'\""
    )


def _locator(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or ("" if value in _LOCATORS else "invalid_queue_locator_arg")


_CHECKS: dict[str, Callable[[Any, Arguments], str]] = {
    "x-queue-type": _queue_type,
    "x-expires": _expires,
    "x-message-ttl": _ttl,
    "x-dead-letter-exchange": _string,
    "x-dead-letter-routing-key": _dead_letter_routing_key,
    "x-max-length": _not_negative,
    "x-max-length-bytes": _not_negative,
    "x-max-priority": _priority,
    "x-overflow": _overflow,
    "x-queue-mode": _queue_mode,
    "x-queue-version": _queue_version,
    "x-single-active-consumer": _boolean,
    "x-queue-leader-locator": _locator,
    "x-queue-master-locator": _string,
}

_COMPARED = (
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
)
