"""What a connection remembers by its octets, within a bound, and with no cliff at it.

A client that goes around more than fits would find nothing ever, if all that is new were
remembered at the cost of the oldest. So, once the memory is full, only one in eight newcomers is:
most of what fits is found in each round. What never comes again, as an id that is different in
each message, costs little then, and displaces the rest slowly; what comes often is in soon.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from random import random
from typing import Generic, TypeVar

# What an item costs, about, beside its octets. They count twice: most are in its meaning, too.
_OVERHEAD = 500
_NEWCOMERS = 1 / 8  # So many of them are remembered when it is full.

T = TypeVar("T")


class Memory(Generic[T]):
    """Items by octets, each far fewer than `size_max`; `dropped` hears who had to make room."""

    __slots__ = ("_dropped", "_items", "_size", "_size_max", "get")

    def __init__(self, size_max: int, dropped: Callable[[T], None] | None = None) -> None:
        self._items: OrderedDict[bytes, T] = OrderedDict()  # The oldest first.
        self._size = 0
        self._size_max = size_max
        self._dropped = dropped
        self.get: Callable[[bytes], T | None] = self._items.get  # No call of ours in between.

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size(self) -> int:
        """How many bytes all this takes, about."""
        return self._size

    def add(self, key: bytes, item: T) -> bool:
        """Remember something new; False if it is not worth what would have to go."""
        size = self._size + _OVERHEAD + 2 * len(key)
        if size > self._size_max:
            if random() >= _NEWCOMERS:
                return False
            while size > self._size_max:
                size -= self._drop_oldest()
        self._items[key] = item
        self._size = size
        return True

    def clear(self) -> None:
        """Remember nothing."""
        self._items.clear()
        self._size = 0

    def _drop_oldest(self) -> int:
        """Return how many bytes that gives back."""
        key, item = self._items.popitem(last=False)
        if self._dropped is not None:
            self._dropped(item)
        return _OVERHEAD + 2 * len(key)
