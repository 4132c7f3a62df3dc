"""`python -m interop.clients.rocketmq [word ...]`: RocketMQ's own clients on our broker.

With words, only the clients that have one of them in their name. What is not installed is
skipped, and said so.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence

import click

from gateway.demo.sample import Address
from gateway.service.addresses import format_address
from interop.clients.comparing import choose, make_console, make_row, report
from interop.clients.programs import Program
from interop.clients.rocketmq.programs import PROGRAMS
from interop.clients.rocketmq.scenarios import SCENARIOS
from interop.clients.runs import Run, execute
from interop.servers import rosettamq_server


@click.command(help=__doc__)
@click.argument("words", nargs=-1)
@click.option("--markdown", is_flag=True, help="Print the matrix for a document.")
def main(words: Sequence[str], markdown: bool) -> None:
    """Run and print; exits with 1 if something does not hold."""
    console = make_console(markdown)
    with rosettamq_server() as server:
        name_server = server.addresses["name_server"]
        rows = [
            make_row(console, program, run, name_server, None)
            for program in choose(PROGRAMS, words)
        ]
    sys.exit(report(console, rows, SCENARIOS, markdown))


def run(program: Program, name_server: Address, scenarios: Sequence[str] = ()) -> Run:
    """These scenarios, or all, with names of their own."""
    prefix = f"i{secrets.token_hex(4)}-"
    return execute(program, (format_address(*name_server), prefix, *scenarios))


if __name__ == "__main__":
    main()
