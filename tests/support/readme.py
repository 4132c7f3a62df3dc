"""The Python snippets of the README, to be compiled and run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parent.parent.parent / "README.md"


@dataclass(frozen=True)
class Snippet:
    """The code, and the lines that it prints by its own account."""

    code: str
    prints: list[str]


def read_snippets() -> list[Snippet]:
    codes: list[str] = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.S | re.M)
    return [Snippet(code, _promised_lines(code)) for code in codes]


def _promised_lines(code: str) -> list[str]:
    """What follows `print(...)  # `; several lines are joined by ", then "."""
    promises: list[str] = re.findall(r"print\(.*\)  # (.*)$", code, re.M)
    return [line for promise in promises for line in promise.split(", then ")]
