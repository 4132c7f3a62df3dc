"""`python -m interop.clients [word ...]`: AMQP clients of many languages on ours and on RabbitMQ.

With words, only the clients that have one of them in their name. What is not installed is
skipped, and said so; without RabbitMQ there is nothing to compare what the clients saw with.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack

import click
from rich.console import Console

from interop.clients.comparing import choose, make_console, make_row, rabbitmq
from interop.clients.matrix import Row, Verdict, make_document, make_table, own_scenarios
from interop.clients.programs import PROGRAMS, Program
from interop.clients.runs import run
from interop.servers import rosettamq_server


@click.command(help=__doc__)
@click.argument("words", nargs=-1)
@click.option("--markdown", is_flag=True, help="Print the matrix for a document.")
def main(words: Sequence[str], markdown: bool) -> None:
    """Run and print; exits with 1 if something does not hold, or differs."""
    console = make_console(markdown)
    with ExitStack() as stack:
        ours = stack.enter_context(rosettamq_server()).addresses["amqp"]
        reference = stack.enter_context(rabbitmq(console))

        def run_both(program: Program) -> Row:
            return make_row(
                console,
                program,
                lambda: run(program, ours),
                None if reference is None else lambda: run(program, ("127.0.0.1", reference.port)),
            )

        rows = [run_both(program) for program in choose(PROGRAMS, words)]
    if markdown:
        click.echo(make_document(rows), nl=False)
    sys.exit(1 if _show(console, rows) else 0)


def _show(console: Console, rows: Sequence[Row]) -> int:
    """Print everything; returns how many problems there are."""
    console.print(make_table(rows))
    by_client = {row.client: row for row in rows}
    for client, names in own_scenarios(rows).items():
        verdicts = (f"{name}: {by_client[client].verdict(name).value}" for name in names)
        console.print(f"{client}, further: {'; '.join(verdicts)}", markup=False)
    failed = 0
    for row in rows:
        if row.skipped:
            console.print(f"{row.client}: skipped: {row.skipped}", markup=False)
        for problem in row.problems():
            failed += 1
            console.print(f"  {row.client}: {problem}", markup=False)
    held = sum(
        row.verdict(scenario) is Verdict.OK
        for row in rows
        if row.ours
        for scenario in row.ours.outcomes
    )
    console.print(f"{held} hold, {failed} do not" if failed else f"all {held} hold")
    return failed


if __name__ == "__main__":
    main()
