"""Who draws an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Author(Protocol):
    """Makes choices; `sequences` has the one that hypothesis leads."""

    def pick(self, choices: Sequence[T]) -> T: ...

    def happens(self, percentage: int) -> bool: ...
