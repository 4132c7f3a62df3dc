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
from interop.clients.comparing import choose, make_console, make_row, rabbitmq, report
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
        theirs = {} if reference is None else _addresses(reference)
        rows = [
            make_row(console, each, run, ours[each.listener], theirs.get(each.listener))
            for each in choose(PROGRAMS, words)
        ]
    sys.exit(report(console, rows, SCENARIOS, markdown))


def _addresses(server: RabbitMQ) -> dict[str, Address]:
    """Where its plug-ins are, by what our listeners are called."""
    ports = {"stomp": server.stomp_port, "ws": server.web_stomp_port}
    return {listener: ("127.0.0.1", port) for listener, port in ports.items()}


def run(program: StompProgram, address: Address) -> Run:
    """All scenarios on one server, with names of their own."""
    host, port = address
    return execute(program, (host, str(port), f"i{secrets.token_hex(4)}-"))


if __name__ == "__main__":
    main()
