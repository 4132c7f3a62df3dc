"""The arguments of a queue: what each may be, what they mean, which must not change.

Rules and texts are RabbitMQ's (`rabbit_amqqueue:declare_args/0`); which types of queues know which
arguments is said in `gateway.queues.types`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments
from gateway.queues.stream_offsets import parse_age_ms, parse_stream_offset
from gateway.queues.types import TYPES, QueueType, check_consumer_known, check_known, find_type
from gateway.values import is_integer, type_name

# Why a value cannot be, in RabbitMQ's words; nothing if it can. All arguments are there to look at.
_Check: TypeAlias = "Callable[[Any, Arguments], str]"

EXPIRY_MAX_MS = 315_360_000_000  # Ten years.
_PRIORITY_MAX = 255
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_MODES = ("default", "lazy")
_LOCATORS = ("client-local", "balanced")
_STRATEGIES = ("at-most-once", "at-least-once")
_SEGMENT_SIZE_MAX = 3_000_000_000
_FILTER_SIZES = range(16, 256)


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
    dead_letter_strategy: str = "at-most-once"
    delivery_limit: int | None = None
    max_age: str | None = None
    consumer_timeout_ms: int | None = None

    expires_behind_head: bool = False

    @property
    def has_limit(self) -> bool:
        """May the queue become full?"""
        return self.max_length is not None or self.max_length_bytes is not None

    @property
    def may_refuse(self) -> bool:
        """May it refuse a message because it is full?"""
        return self.has_limit and self.overflow != "drop-head"

    @property
    def needs_upkeep(self) -> bool:
        """Are there limits or deadlines to look after, whatever the messages say?"""
        return self.has_limit or self.message_ttl_ms is not None


def parse_options(arguments: Arguments) -> QueueOptions:
    """The meaning of arguments that were checked before."""
    if not arguments:
        return _NO_OPTIONS
    known: dict[str, Any] = {
        field: arguments[name] for name, field in _FIELDS.items() if name in arguments
    }
    return QueueOptions(**known)


_NO_OPTIONS = QueueOptions()  # Most queues have none, and there may be many queues.


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
    "x-dead-letter-strategy": "dead_letter_strategy",
    "x-delivery-limit": "delivery_limit",
    "x-max-age": "max_age",
    "x-consumer-timeout": "consumer_timeout_ms",
    "x-expire-behind-head": "expires_behind_head",
}


def check_arguments(arguments: Arguments, queue: str) -> None:
    """Raise `PreconditionFailedError` for an argument that `queue`, so described, cannot have."""
    if not arguments:
        return  # Most queues have none, and there may be many queues.
    exchange = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(exchange, str):
        raise PreconditionFailedError(
            f"invalid type '{type_name(exchange)}' for arg 'x-dead-letter-exchange' in {queue}"
        )
    _check_value("x-queue-type", _queue_type, arguments, queue)
    type = find_type(arguments)
    for name, check in _CHECKS.items():
        if name in type.arguments:
            _check_value(name, check, arguments, queue)
    check_known(type, arguments, queue)
    segment_size: Any = arguments.get("x-stream-max-segment-size-bytes", 0)
    if segment_size > _SEGMENT_SIZE_MAX:
        raise PreconditionFailedError("Exceeded max value for x-stream-max-segment-size-bytes")


def _check_value(name: str, check: _Check, arguments: Arguments, queue: str) -> None:
    if name in arguments and (reason := check(arguments[name], arguments)):
        raise PreconditionFailedError(f"invalid arg '{name}' for {queue}: {reason}")


def check_equivalent(wanted: Arguments, current: Arguments, queue: str) -> None:
    """Raise `PreconditionFailedError` unless a queue declared so is the same.

    Numbers are compared whatever their width.
    """
    for name in find_type(current).arguments:
        default = "classic" if name == "x-queue-type" else None
        check_argument(name, wanted.get(name, default), current.get(name, default), queue)


def check_argument(name: str, wanted: object, current: object, owner: object) -> None:
    """Raise `PreconditionFailedError` if an argument differs from what it is now."""
    if wanted == current and _kind(wanted) is _kind(current):
        return
    if wanted is None or current is None:
        received, now = _described(wanted), _described(current)
    else:
        received, now = f"'{text(wanted)}'", f"'{text(current)}'"
    raise PreconditionFailedError(
        f"inequivalent arg '{name}' for {owner}: received {received} but current is {now}"
    )


def _kind(value: object) -> type[object]:
    """What Python would take for equal to another kind's, and RabbitMQ does not."""
    return next((kind for kind in (bool, float) if isinstance(value, kind)), object)


def check_consumer_arguments(type: QueueType, arguments: Arguments, queue: str) -> None:
    """Raise `PreconditionFailedError` for what a consumer of `queue`, so described, cannot ask."""
    for name, check in _CONSUMER_CHECKS.items():
        if name in type.consumer_arguments:
            _check_value(name, check, arguments, queue)
    check_consumer_known(type, arguments, queue)


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


def _positive(value: Any, arguments: Arguments) -> str:
    return _not_negative(value, arguments) or ("" if value else "{value_zero,0}")


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
        "" if value in TYPES else f"\"unsupported queue type '{value}'\""
    )


def _locator(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or ("" if value in _LOCATORS else "invalid_queue_locator_arg")


def _strategy(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or ("" if value in _STRATEGIES else "invalid_dlx_strategy")


def _max_age(value: Any, _: Arguments) -> str:
    return _of_type(value, str) or ("" if parse_age_ms(value) is not None else "invalid_max_age")


def _filter_size(value: Any, arguments: Arguments) -> str:
    return _not_negative(value, arguments) or (
        "" if value in _FILTER_SIZES else f"{{invalid_filter_size_bytes,{value}}}"
    )


def _stream_offset(value: Any, _: Arguments) -> str:
    if parse_stream_offset(value, 0) is not None:
        return ""
    shown = f'<<"{value}">>' if isinstance(value, str) else text(value)
    return f"{{invalid_stream_offset_arg,{{{type_name(value)},{shown}}}}}"


_CHECKS: dict[str, _Check] = {
    "x-expires": _expires,
    "x-message-ttl": _ttl,
    "x-dead-letter-exchange": _string,
    "x-dead-letter-routing-key": _dead_letter_routing_key,
    "x-dead-letter-strategy": _strategy,
    "x-max-length": _not_negative,
    "x-max-length-bytes": _not_negative,
    "x-max-in-memory-length": _not_negative,
    "x-max-in-memory-bytes": _not_negative,
    "x-max-priority": _priority,
    "x-overflow": _overflow,
    "x-queue-mode": _queue_mode,
    "x-queue-version": _queue_version,
    "x-single-active-consumer": _boolean,
    "x-quorum-initial-group-size": _positive,
    "x-max-age": _max_age,
    "x-consumer-timeout": _not_negative,
    "x-stream-max-segment-size-bytes": _not_negative,
    "x-stream-filter-size-bytes": _filter_size,
    "x-initial-cluster-size": _positive,
    "x-expire-behind-head": _boolean,
    "x-queue-leader-locator": _locator,
    "x-queue-master-locator": _string,
}

_CONSUMER_CHECKS: dict[str, _Check] = {
    "x-priority": check_integer,
    "x-cancel-on-ha-failover": _boolean,
    "x-stream-offset": _stream_offset,
}
