"""Is what somebody declares again what it was? The words are RabbitMQ's."""

from __future__ import annotations

import re

from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments
from gateway.exchanges.exchange import Exchange
from gateway.queues.arguments import check_argument, text

_PLAIN_ATOM = re.compile(r"[a-z]\w*", re.ASCII)


def check_exchange(wanted: Exchange, current: Exchange, arguments: Arguments) -> None:
    """Raise `PreconditionFailedError` unless `wanted` is `current`, had it these arguments."""
    check_field("type", _as_atom(wanted.type), _as_atom(current.type), current)
    check_field("durable", wanted.durable, current.durable, current)
    check_field("auto_delete", wanted.auto_delete, current.auto_delete, current)
    check_field("internal", wanted.internal, current.internal, current)
    name = "alternate-exchange"
    check_argument(name, wanted.arguments.get(name), arguments.get(name), current)


def check_field(field: str, wanted: object, current: object, owner: object) -> None:
    """Raise `PreconditionFailedError` if one property of `owner` differs from what it is now."""
    if wanted != current:
        raise PreconditionFailedError(
            f"inequivalent arg '{field}' for {owner}:"
            f" received '{text(wanted)}' but current is '{text(current)}'"
        )


def _as_atom(name: str) -> str:
    """As Erlang writes an atom: one that is no plain word has quotes of its own."""
    return name if _PLAIN_ATOM.fullmatch(name) else f"'{name}'"
