"""The keys of a policy's definition: what each may be, and how values from two places become one.

Keys, checks and texts are RabbitMQ's. A key mostly has the name of a queue's argument, without its
`x-`: what holds for a queue is its arguments and its policies made one, see `effective_arguments`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from gateway.exchanges.bindings import Arguments
from gateway.queues.stream_offsets import parse_age_ms

Definition: TypeAlias = "Mapping[str, Any]"

_SEGMENT_SIZE_MAX = 3_000_000_000


class _Key(NamedTuple):
    """What a value may be, and what RabbitMQ says of one that it may not be."""

    fits: Callable[[Any], bool]
    complaint: str


def _whole(minimum: int | None = 0, maximum: int | None = None) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)

    return fits


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _one_of(*values: object) -> Callable[[Any], bool]:
    # True is 1, but not here.
    return lambda value: any(value == each and type(value) is type(each) for each in values)


def _anything(value: Any) -> bool:
    return True


def _age(value: Any) -> bool:
    return isinstance(value, str) and parse_age_ms(value) is not None


_KEYS = {
    "alternate-exchange": _Key(_text, "is not a valid alternate exchange name"),
    "consumer-timeout": _Key(_whole(), "is not a valid consumer timeout"),
    "dead-letter-exchange": _Key(_text, "is not a valid dead letter exchange name"),
    "dead-letter-routing-key": _Key(_text, "is not a valid dead letter routing key"),
    "dead-letter-strategy": _Key(
        _one_of("at-most-once", "at-least-once"), "is not a valid dead letter strategy"
    ),
    "delivery-limit": _Key(_whole(None), "is not a valid delivery limit"),
    "expires": _Key(_whole(1), "is not a valid queue expiry"),
    "initial-cluster-size": _Key(_whole(), "is not a valid cluster size"),
    "max-age": _Key(_age, "is not a valid max age"),
    "max-in-memory-bytes": _Key(_whole(), "is not a valid maximum memory in bytes"),
    "max-in-memory-length": _Key(_whole(), "is not a valid maximum memory in bytes"),
    "max-length": _Key(_whole(), "is not a valid maximum length"),
    "max-length-bytes": _Key(_whole(), "is not a valid maximum length in bytes"),
    "message-ttl": _Key(_whole(), "is not a valid message TTL"),
    "overflow": _Key(
        _one_of("drop-head", "reject-publish", "reject-publish-dlx"),
        "is not a valid overflow value",
    ),
    "queue-leader-locator": _Key(
        _one_of("client-local", "balanced", "random", "least-leaders"),
        "is not a valid queue leader locator value",
    ),
    "queue-master-locator": _Key(_text, "invalid queue-master-locator value"),
    "queue-mode": _Key(_one_of("default", "lazy"), "is not a valid queue-mode value"),
    "queue-version": _Key(_one_of(1, 2), "is not a valid queue-version value"),
    "stream-filter-size-bytes": _Key(_whole(16, 255), "is not a valid filter size"),
    "stream-max-segment-size-bytes": _Key(
        _whole(0, _SEGMENT_SIZE_MAX), "is not a valid segment size"
    ),
    "target-group-size": _Key(_whole(1), "is not a valid target group size"),
    # Our own: are expired messages removed behind others that are not, too?
    "expire-behind-head": _Key(_one_of(True, False), "is not a valid expire-behind-head value"),
    # Our own: what becomes of a declaration that contradicts what exists.
    "redeclare": _Key(_one_of("strict", "warn", "apply"), "is not a valid redeclare value"),
    # Of mirrored queues, which RabbitMQ had up to 3.13: they are in many definitions.
    "ha-mode": _Key(_anything, ""),
    "ha-params": _Key(_anything, ""),
    "ha-promote-on-failure": _Key(_anything, ""),
    "ha-promote-on-shutdown": _Key(_anything, ""),
    "ha-sync-batch-size": _Key(_anything, ""),
    "ha-sync-mode": _Key(_anything, ""),
}

OPERATOR_KEYS = frozenset(
    (
        "delivery-limit",
        "expires",
        "max-in-memory-bytes",
        "max-in-memory-length",
        "max-length",
        "max-length-bytes",
        "message-ttl",
        "overflow",
        "queue-version",
    )
)

_MIRRORING = frozenset(name for name in _KEYS if name.startswith("ha-"))
_IN_MEMORY = frozenset(("max-in-memory-bytes", "max-in-memory-length"))
_OF_QUORUM = frozenset(("dead-letter-strategy", "delivery-limit", "target-group-size"))
_OF_STREAM = frozenset(("initial-cluster-size", "max-age", "stream-max-segment-size-bytes"))

# A policy with one of these keys does not hold at all for a queue of that type.
UNSUITED: Mapping[str, frozenset[str]] = {
    "classic": _OF_QUORUM | _OF_STREAM | _IN_MEMORY,
    "quorum": _OF_STREAM | _MIRRORING | {"queue-master-locator", "queue-mode"},
    "stream": _OF_QUORUM
    | _IN_MEMORY
    | _MIRRORING
    | {
        "dead-letter-exchange",
        "dead-letter-routing-key",
        "expire-behind-head",
        "expires",
        "max-length",
        "message-ttl",
        "overflow",
        "queue-master-locator",
        "queue-mode",
    },
}

_SMALLER_WINS = frozenset(
    (
        "consumer-timeout",
        "expires",
        "max-in-memory-bytes",
        "max-in-memory-length",
        "max-length",
        "max-length-bytes",
        "message-ttl",
    )
)


def check_definition(definition: object, is_operator: bool) -> str:
    """Why a policy cannot ask for this; nothing if it can."""
    if not isinstance(definition, dict):
        return f"definition must be a dictionary: {shown(definition)}"
    if not definition:
        return "no policy provided"
    known = OPERATOR_KEYS if is_operator else _KEYS.keys()
    for name, value in definition.items():
        if name in known and not _KEYS[name].fits(value):
            return f"{shown(value)} {_KEYS[name].complaint}"
    unknown = {name: value for name, value in definition.items() if name not in known}
    if unknown:
        return f"{shown(unknown)} are not recognised policy settings"
    return ""


def merge_definitions(definition: Definition, operator_definition: Definition) -> Definition:
    """What a policy and an operator policy ask for together: no more than the operator allows."""
    merged = dict(definition)
    for key, value in operator_definition.items():
        merged[key] = _merge(key, definition[key], value, value) if key in definition else value
    return merged


def effective_arguments(arguments: Arguments, definition: Definition) -> Arguments:
    """The arguments of a queue, as if it had been declared with what its policies say, too."""
    if not definition:
        return arguments
    merged = dict(arguments)
    for key, value in definition.items():
        name = f"x-{key}"
        own = arguments.get(name)
        merged[name] = value if own is None else _merge(key, own, value, own)
    return merged


def _merge(key: str, one: Any, other: Any, preferred: Any) -> Any:
    """One value of two: where numbers limit something the smaller, else the preferred one."""
    if key in _SMALLER_WINS:
        return min(one, other)
    if key == "delivery-limit":  # Below 0 is no limit.
        return max(one, other) if min(one, other) < 0 else min(one, other)
    if key == "max-age":
        return min(one, other, key=lambda age: parse_age_ms(age) or 0)
    return preferred


def shown(value: object) -> str:
    """A value as RabbitMQ's texts show it: as an Erlang term."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'<<"{value}">>'
    if isinstance(value, dict):
        return f"[{','.join(f'{{{shown(key)},{shown(value[key])}}}' for key in value)}]"
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return str(value)
