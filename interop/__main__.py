"""`python -m interop`: run every scenario against a broker of its own; non-zero if one fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from gateway.demo.clients import make_clients
from interop.scenarios import Outcome, all_scenarios
from interop.servers import rosettamq_server


def main() -> int:
    """Run and print; returns the exit code."""
    console = Console(highlight=False)
    failed = 0
    with rosettamq_server() as server:
        clients = make_clients(server.addresses)
        for title, scenario in all_scenarios().items():
            outcomes = list(scenario(clients))
            console.print(_make_matrix(title, outcomes))
            for outcome in outcomes:
                failed += bool(outcome.problems)
                for problem in outcome.problems:
                    console.print(f"  {outcome.row} -> {outcome.column}: {problem}", markup=False)
    console.print(f"{failed} failed" if failed else "everything holds")
    return 1 if failed else 0


def _make_matrix(title: str, outcomes: Sequence[Outcome]) -> Table:
    rows = list(dict.fromkeys(outcome.row for outcome in outcomes))
    columns = list(dict.fromkeys(outcome.column for outcome in outcomes))
    cells = {(outcome.row, outcome.column): outcome for outcome in outcomes}
    table = Table("", *columns, title=title)
    for row in rows:
        marks = [
            "[red]failed[/]" if cells[row, column].problems else "[green]ok[/]"
            for column in columns
        ]
        table.add_row(row, *marks)
    return table


if __name__ == "__main__":
    sys.exit(main())
