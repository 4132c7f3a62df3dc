"""What a person at a terminal sees when the broker is ready: where it is and what to try first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.service.addresses import format_address

_FIRST_STEPS = """\
import pika

parameters = pika.URLParameters("amqp://guest:guest@{amqp}/")
channel = pika.BlockingConnection(parameters).channel()
channel.queue_declare("orders", durable=True)
channel.basic_publish("", "orders", b"hello")"""


def show_welcome(addresses: Mapping[str, tuple[str, int]], data_dir: Path) -> None:
    """Print the panel to stdout, all of it, however narrow the terminal is."""
    console = Console(highlight=False)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", overflow="fold")
    facts.add_column(overflow="fold")
    for name, address in addresses.items():
        facts.add_row(name.replace("_", " "), format_address(*address))
    path = str(data_dir.resolve()).encode(console.encoding, "backslashreplace")
    facts.add_row("data", Text(path.decode(console.encoding)))
    facts.add_row("login", "guest / guest")
    facts.add_row("stop", "Ctrl-C")
    console.print(Panel(facts, title="RosettaMQ", expand=False))
    if "amqp" in addresses:
        console.print("Try it in another terminal (pip install pika):\n", style="dim")
        steps = _FIRST_STEPS.format(amqp=format_address(*addresses["amqp"]))
        console.print(steps, markup=False, soft_wrap=True)  # It is to be pasted as it is.
        console.print("\n... or run `rosettamq demo`.", style="dim", markup=False)
