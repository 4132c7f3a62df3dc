"""Receivers (see `core.handing`) for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.handing import Handed


class SingleReceiver:
    """Takes nothing at once: each message goes to its taker alone."""

    def __init__(self, settles: bool) -> None:
        self.settles = settles

    def take_all(self, handed: Handed, messages: Sequence[Any]) -> bool:
        return False

    def done(self, handed: Handed) -> None:
        raise AssertionError("nothing was taken")

    def entered(self, handed: Handed, offsets: Sequence[int]) -> None:
        raise AssertionError("nothing was taken")
