"""`python -m interop.clients.stomp [word ...]`: STOMP clients of many languages, also on RabbitMQ.

With words, only the clients that have one of them in their name. What is not installed is
skipped, and said so; without RabbitMQ there is nothing to compare what the clients saw with.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from bench.servers import RabbitMQ
from gateway.demo.sample import Address
from interop.clients.matrix import Row, make_document, make_table
from interop.clients.programs import MissingError
from interop.clients.runs import Run, execute
from interop.clients.stomp.programs import PROGRAMS, StompProgram
from interop.clients.stomp.scenarios import SCENARIOS
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
        ours = stack.enter_context(rosettamq_server()).addresses
        reference = stack.enter_context(_rabbitmq(console))
        rows = [_run(console, program, ours, reference) for program in chosen]
    if markdown:
        click.echo(make_document(rows, SCENARIOS), nl=False)
    console.print(make_table(rows, SCENARIOS))
    problems = [f"  {row.client}: {problem}" for row in rows for problem in row.problems()]
    skipped = [f"{row.client}: skipped: {row.skipped}" for row in rows if row.skipped]
    for line in (*skipped, *problems):
        console.print(line, markup=False)
    sys.exit(1 if problems else 0)


@contextmanager
def _rabbitmq(console: Console) -> Iterator[Mapping[str, Address]]:
    """Where its plugins listen, by listener; nowhere, if it is not installed."""
    if not RabbitMQ.is_installed():
        console.print("no RabbitMQ to compare with: apt-get install rabbitmq-server")
        yield {}
        return
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-clients-") as folder,
        RabbitMQ(Path(folder), speaks_web_stomp=True) as server,
    ):
        ports = {"stomp": server.stomp_port, "ws": server.web_stomp_port}
        yield {listener: ("127.0.0.1", port) for listener, port in ports.items()}


def _run(
    console: Console,
    program: StompProgram,
    ours: Mapping[str, Address],
    reference: Mapping[str, Address],
) -> Row:
    """One column of the matrix."""
    console.print(f"{program.name} ...")
    try:
        program.install()
    except MissingError as error:
        return Row(program.name, skipped=str(error))
    return Row(
        program.name,
        ours=run(program, ours[program.listener]),
        reference=run(program, reference[program.listener]) if reference else None,
    )


def run(program: StompProgram, address: Address) -> Run:
    """All scenarios on one server, with names of their own."""
    host, port = address
    return execute(program, (host, str(port), f"i{secrets.token_hex(4)}-"))


if __name__ == "__main__":
    main()
