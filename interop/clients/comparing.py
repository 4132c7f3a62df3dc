"""What the commands share that run programs on ours, and on RabbitMQ: a column each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from bench.servers import RabbitMQ
from gateway.demo.sample import Address
from interop.clients.matrix import Row, Verdict, make_document, make_table, own_scenarios
from interop.clients.programs import MissingError, Program
from interop.clients.runs import Run

_WIDTH = 120  # Of the matrix, where there is no terminal that has one.
_Program = TypeVar("_Program", bound=Program)


def make_console(markdown: bool) -> Console:
    """Where people read along; what is printed for a document has stdout for itself."""
    console = Console(highlight=False, stderr=markdown)
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def choose(programs: Sequence[_Program], words: Sequence[str]) -> list[_Program]:
    """Those that have one of the words in their names; all, without words."""
    return [
        program
        for program in programs
        if not words or any(word.lower() in program.name.lower() for word in words)
    ]


@contextmanager
def rabbitmq(console: Console, speaks_web_stomp: bool = False) -> Iterator[RabbitMQ | None]:
    """The reference, if it is installed."""
    if not RabbitMQ.is_installed():
        console.print("no RabbitMQ to compare with: apt-get install rabbitmq-server")
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-clients-") as folder,
        RabbitMQ(Path(folder), speaks_web_stomp=speaks_web_stomp) as server,
    ):
        yield server


def make_row(
    console: Console,
    program: _Program,
    run: Callable[[_Program, Address], Run],
    ours: Address,
    reference: Address | None,
) -> Row:
    """One column of the matrix: what `run` sees at these addresses."""
    console.print(f"{program.name} ...")
    try:
        program.install()
    except MissingError as error:
        return Row(program.name, skipped=str(error))
    return Row(
        program.name,
        ours=run(program, ours),
        reference=None if reference is None else run(program, reference),
    )


def report(
    console: Console, rows: Sequence[Row], scenarios: Collection[str], markdown: bool
) -> int:
    """Print the matrix and what is wrong; returns the exit code."""
    if markdown:
        click.echo(make_document(rows, scenarios), nl=False)
    console.print(make_table(rows, scenarios))
    by_client = {row.client: row for row in rows}
    for client, names in own_scenarios(rows, scenarios).items():
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
    return 1 if failed else 0
