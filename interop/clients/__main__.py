"""`python -m interop.clients [word ...]`: AMQP clients of many languages on ours and on RabbitMQ.

With words, only the clients that have one of them in their name. What is not installed is
skipped, and said so; without RabbitMQ there is nothing to compare what the clients saw with.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from bench.servers import RabbitMQ
from gateway.demo.sample import Address
from interop.clients.matrix import Row, Verdict, make_document, make_table, own_scenarios
from interop.clients.programs import PROGRAMS, MissingError, Program
from interop.clients.runs import run
from interop.servers import rosettamq_server

_WIDTH = 120  # Of the matrix, where there is no terminal that has one.


@click.command(help=__doc__)
@click.argument("words", nargs=-1)
@click.option("--markdown", is_flag=True, help="Print the matrix for a document.")
def main(words: Sequence[str], markdown: bool) -> None:
    """Run and print; exits with 1 if something does not hold, or differs."""
    console = Console(highlight=False, stderr=markdown)
    if not console.is_terminal:
        console.width = _WIDTH
    chosen = [
        program
        for program in PROGRAMS
        if not words or any(word.lower() in program.name.lower() for word in words)
    ]
    with ExitStack() as stack:
        ours = stack.enter_context(rosettamq_server()).addresses["amqp"]
        reference = stack.enter_context(_rabbitmq(console))
        rows = [_run(console, program, ours, reference) for program in chosen]
    if markdown:
        click.echo(make_document(rows), nl=False)
    sys.exit(1 if _show(console, rows) else 0)


@contextmanager
def _rabbitmq(console: Console) -> Iterator[Address | None]:
    if not RabbitMQ.is_installed():
        console.print("no RabbitMQ to compare with: apt-get install rabbitmq-server")
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-clients-") as folder,
        RabbitMQ(Path(folder)) as server,
    ):
        yield "127.0.0.1", server.port


def _run(console: Console, program: Program, ours: Address, reference: Address | None) -> Row:
    console.print(f"{program.name} ...")
    try:
        program.install()
    except MissingError as error:
        return Row(program.name, skipped=str(error))
    return Row(
        program.name,
        ours=run(program, ours),
        reference=run(program, reference) if reference else None,
    )


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
