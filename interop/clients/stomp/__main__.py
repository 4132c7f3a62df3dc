"""`python -m interop.clients.stomp [word ...]`: STOMP clients of many languages, also on RabbitMQ.

With words, only the clients that have one of them in their name. What is not installed is
skipped, and said so; without RabbitMQ there is nothing to compare what the clients saw with.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import click

from bench.servers import RabbitMQ
from gateway.demo.sample import Address
from interop.clients.comparing import choose, make_console, make_row, rabbitmq
from interop.clients.matrix import Row, make_document, make_table
from interop.clients.runs import Run, execute
from interop.clients.stomp.programs import PROGRAMS, StompProgram
from interop.clients.stomp.scenarios import SCENARIOS
from interop.servers import rosettamq_server


@click.command(help=__doc__)
@click.argument("words", nargs=-1)
@click.option("--markdown", is_flag=True, help="Print the matrix for a document.")
def main(words: Sequence[str], markdown: bool) -> None:
    """Run and print; exits with 1 if something does not hold, or differs."""
    console = make_console(markdown)
    with ExitStack() as stack:
        ours = stack.enter_context(rosettamq_server()).addresses
        reference = stack.enter_context(rabbitmq(console, speaks_web_stomp=True))

        def run_both(program: StompProgram) -> Row:
            listener = program.listener
            return make_row(
                console,
                program,
                lambda: run(program, ours[listener]),
                None if reference is None else lambda: run(program, _address(reference, listener)),
            )

        rows = [run_both(program) for program in choose(PROGRAMS, words)]
    if markdown:
        click.echo(make_document(rows, SCENARIOS), nl=False)
    console.print(make_table(rows, SCENARIOS))
    problems = [f"  {row.client}: {problem}" for row in rows for problem in row.problems()]
    skipped = [f"{row.client}: skipped: {row.skipped}" for row in rows if row.skipped]
    for line in (*skipped, *problems):
        console.print(line, markup=False)
    sys.exit(1 if problems else 0)


def _address(server: RabbitMQ, listener: str) -> Address:
    """Where its plug-in for this listener is."""
    ports = {"stomp": server.stomp_port, "ws": server.web_stomp_port}
    return "127.0.0.1", ports[listener]


def run(program: StompProgram, address: Address) -> Run:
    """All scenarios on one server, with names of their own."""
    host, port = address
    return execute(program, (host, str(port), f"i{secrets.token_hex(4)}-"))


if __name__ == "__main__":
    main()
