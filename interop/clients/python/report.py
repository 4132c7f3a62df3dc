"""What every program here does: run the scenarios asked for, and say what became of each.

A program is started as `program.py amqp://user:password@host:port/ [scenario ...]`, and prints one
line of JSON per scenario: what it saw, or what went wrong.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeAlias

Scenario: TypeAlias = Callable[[str], Any]


def main(distribution: str, scenarios: dict[str, Scenario]) -> None:
    """Run what the command line asks for."""
    url, *wanted = sys.argv[1:]
    _print({"library": f"{distribution} {version(distribution)}"})
    for name in wanted or scenarios:
        if name not in scenarios:
            continue
        try:
            _print({"scenario": name, "seen": scenarios[name](url)})
        except Exception as error:
            traceback.print_exc()
            _print({"scenario": name, "problem": f"{type(error).__name__}: {error}"})


def check(condition: object, problem: str) -> None:
    """Fail the scenario with these words, unless it holds."""
    if not condition:
        raise AssertionError(problem)


def equal(actual: object, expected: object) -> None:
    """Fail the scenario unless both are equal."""
    check(actual == expected, f"{actual!r}, not {expected!r}")


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line, ensure_ascii=False, default=str), flush=True)
