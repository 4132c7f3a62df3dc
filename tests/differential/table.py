"""Tables of the differences that we know and mean, one per protocol, and their documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs/protocols"


@dataclass(frozen=True)
class Difference:
    """Two lines that may stand for one another; named groups must be equal in both.

    After a difference that `ends` the example, the two brokers are in different states: nothing
    further is compared.
    """

    when: str
    reason: str
    rabbitmq: str = ""  # Without a pattern: it is not drawn.
    ours: str = ""
    ends: bool = False

    def explains(self, theirs: str, ours: str) -> bool:
        """Is this why the lines differ?"""
        their_match, our_match = (
            re.fullmatch(self.rabbitmq, theirs, re.DOTALL),
            re.fullmatch(self.ours, ours, re.DOTALL),
        )
        return bool(their_match and our_match and their_match.groupdict() == our_match.groupdict())


@dataclass(frozen=True)
class Table:
    """All differences of one protocol; `introduction` ends with the head of the table."""

    document: Path
    introduction: str
    differences: Sequence[Difference]

    def render(self) -> str:
        """The document."""
        rows = "".join(
            f"| {each.when} | {each.reason} | {'yes' if each.rabbitmq else 'no'} |\n"
            for each in self.differences
        )
        return self.introduction + rows

    def find(self, theirs: str, ours: str) -> Difference | None:
        """Why these lines differ, if that is known."""
        return next((each for each in self.differences if each.explains(theirs, ours)), None)
