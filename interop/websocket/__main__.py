"""`python -m interop.websocket`: every scenario in Node and in Chromium; non-zero if one fails.

What is not installed is skipped, and said so.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from gateway.demo.broker_process import BrokerProcess
from gateway.demo.sample import Address
from interop.websocket.clients import (
    ClientFailedError,
    MissingToolError,
    Result,
    install_packages,
    run_in_browser,
    run_in_node,
)

_Run: TypeAlias = Callable[[Address, bool], Sequence[Result]]

_CLIENTS: dict[str, _Run] = {
    "stompjs in Node": run_in_node,
    "stompjs in Chromium": run_in_browser,
}
_VARIATIONS: dict[str, tuple[bool, Sequence[str]]] = {
    "text, compressed": (True, ()),
    "binary": (False, ("stomp.websocket_frame=binary", "stomp.websocket_compression=false")),
}


def main() -> int:
    """Run and print; returns the exit code."""
    console = Console(highlight=False)
    try:
        install_packages()
    except MissingToolError as error:
        console.print(f"skipped: {error}")
        return 0
    failed = 0
    for variation, (compressed, settings) in _VARIATIONS.items():
        for client, run in _CLIENTS.items():
            failed += _run(console, f"{client}, {variation}", run, compressed, settings)
    console.print(f"{failed} failed" if failed else "everything holds")
    return 1 if failed else 0


def _run(console: Console, title: str, run: _Run, compressed: bool, settings: Sequence[str]) -> int:
    """Run one client against a broker of its own; returns how many scenarios failed."""
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-websocket-") as folder,
        BrokerProcess(Path(folder), settings) as broker,
    ):
        try:
            results = run(broker.addresses["ws"], compressed)
        except MissingToolError as error:
            console.print(f"{title}: skipped: {error}")
            return 0
        except ClientFailedError as error:
            console.print(f"{title}: {error}", markup=False)
            return 1
    console.print(_make_table(title, results))
    problems = [result for result in results if result.problem]
    for result in problems:
        console.print(f"  {result.name}: {result.problem}", markup=False)
    return len(problems)


def _make_table(title: str, results: Sequence[Result]) -> Table:
    table = Table("", "", "", title=title, show_header=False)
    for result in results:
        mark = "[red]failed[/]" if result.problem else "[green]ok[/]"
        table.add_row(result.name, mark, result.note)
    return table


if __name__ == "__main__":
    sys.exit(main())
