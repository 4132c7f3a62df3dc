"""`python -m interop.clients [word ...]`: AMQP clients of many languages on ours and on RabbitMQ.

With words, only the clients that have one of them in their name. What is not installed is
skipped, and said so; without RabbitMQ there is nothing to compare what the clients saw with.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack

import click

from interop.clients.comparing import choose, make_console, make_row, rabbitmq, report
from interop.clients.programs import PROGRAMS
from interop.clients.runs import run
from interop.clients.scenarios import SCENARIOS
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
        theirs = None if reference is None else ("127.0.0.1", reference.port)
        rows = [
            make_row(console, program, run, ours, theirs) for program in choose(PROGRAMS, words)
        ]
    sys.exit(report(console, rows, SCENARIOS, markdown))


if __name__ == "__main__":
    main()
