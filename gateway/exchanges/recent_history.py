"""x-recent-history: a fanout exchange that keeps its last messages for those who bind later.

What it keeps is in a queue of its own, which nobody else sees (`gateway.exchanges.keepers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.route import DependsOn
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments, FanoutBindings
from gateway.values import is_integer

if TYPE_CHECKING:
    from gateway.messages import Header

LENGTH = "x-recent-history-length"
NO_STORE = "x-recent-history-no-store"
_LENGTH_DEFAULT = 20


def check_history(arguments: Arguments) -> None:
    """Raise `PreconditionFailedError` for a length that is none."""
    length = arguments.get(LENGTH, _LENGTH_DEFAULT)
    if not (is_integer(length) and isinstance(length, int) and length > 0):
        raise PreconditionFailedError(
            f"Invalid argument {_shown(length)}, '{LENGTH}' must be a positive integer"
        )


def history_length(arguments: Arguments) -> int:
    """How many messages an exchange with these arguments keeps."""
    length = arguments.get(LENGTH)
    return length if isinstance(length, int) else _LENGTH_DEFAULT


def is_kept(header: Header | None) -> bool:
    """Does a message want to be kept?"""
    return header is None or header.properties.headers.get(NO_STORE) is not True


class RecentHistoryBindings(FanoutBindings):
    """Every binding; but a header may say that the message is not to be kept."""

    depends_on = DependsOn.HEADER


def _shown(value: object) -> str:
    """A value as RabbitMQ's text has it."""
    if isinstance(value, str):
        return f'<<"{value}">>'
    return str(value).lower() if isinstance(value, bool) else str(value)
