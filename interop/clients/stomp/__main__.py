"""`python -m interop.clients.stomp`: STOMP clients of several languages on ours and on RabbitMQ.

What is not installed is skipped, and said so; without RabbitMQ there is nothing to compare what the
clients saw with.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench.servers import RabbitMQ
from gateway.demo.sample import Address
from interop.clients.matrix import Row, make_table
from interop.clients.programs import MissingError, Program
from interop.clients.runs import Run, execute
from interop.clients.stomp.programs import PROGRAMS
from interop.clients.stomp.scenarios import SCENARIOS
from interop.servers import rosettamq_server

_WIDTH = 120  # Of the matrix, where there is no terminal that has one.


def main() -> int:
    """Run them all and print the matrix; 1 if something does not hold, or differs."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    with ExitStack() as stack:
        ours = stack.enter_context(rosettamq_server()).addresses["stomp"]
        reference: Address | None = None
        if RabbitMQ.is_installed():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rosettamq-clients-"))
            server = stack.enter_context(RabbitMQ(Path(folder), speaks_stomp=True))
            reference = "127.0.0.1", server.stomp_port
        else:
            console.print("no RabbitMQ to compare with: apt-get install rabbitmq-server")
        rows = [run_program(console, program, ours, reference) for program in PROGRAMS]
    console.print(make_table(rows, SCENARIOS))
    problems = [f"  {row.client}: {problem}" for row in rows for problem in row.problems()]
    skipped = [f"{row.client}: skipped: {row.skipped}" for row in rows if row.skipped]
    for line in (*skipped, *problems):
        console.print(line, markup=False)
    return 1 if problems else 0


def run_program(
    console: Console, program: Program, ours: Address, reference: Address | None
) -> Row:
    """One column of the matrix."""
    console.print(f"{program.name} ...")
    try:
        program.install()
    except MissingError as error:
        return Row(program.name, skipped=str(error))
    return Row(
        program.name,
        ours=run(program, ours),
        reference=run(program, reference) if reference is not None else None,
    )


def run(program: Program, address: Address) -> Run:
    """All scenarios on one server, with names of their own."""
    host, port = address
    return execute(program, (host, str(port), f"i{secrets.token_hex(4)}-"))


if __name__ == "__main__":
    sys.exit(main())
