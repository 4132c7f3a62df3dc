"""What the commands share that run programs on ours and on RabbitMQ: a column each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from bench.servers import RabbitMQ
from interop.clients.matrix import Row
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
    program: Program,
    run_ours: Callable[[], Run],
    run_reference: Callable[[], Run] | None,
) -> Row:
    """One column of the matrix."""
    console.print(f"{program.name} ...")
    try:
        program.install()
    except MissingError as error:
        return Row(program.name, skipped=str(error))
    return Row(
        program.name,
        ours=run_ours(),
        reference=run_reference() if run_reference is not None else None,
    )
