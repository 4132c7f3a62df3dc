"""`rosettamq demo`: orders in three languages, each read in the other two, and a table of it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.demo.broker_process import BrokerFailedError, BrokerProcess
from gateway.demo.sample import Address, Client, Sample
from gateway.service.addresses import format_address, parse_address

EXIT_UNUSABLE = 2

_INSTALL = """\
rosettamq: the demonstration needs the clients pika and stomp.py. Install them with
    pip install 'rosettamq[interop]'    (in a checkout: pip install -e '.[interop]')"""

# What a newcomer calls each client's language.
LANGUAGES = {"pika": "AMQP", "stomp.py": "STOMP", "rosettamq": "RocketMQ"}


@dataclass(frozen=True, slots=True)
class Journey:
    """One message from one client to another."""

    sender: str
    receiver: str
    queue: str
    sent: Sample
    arrived: Sample


def run_demo(amqp: str | None, stomp: str | None, name_server: str | None) -> int:
    """Run the demonstration; returns the exit code."""
    try:
        import gateway.demo.clients  # noqa: F401 (whether it can be imported)
    except ImportError:
        print(_INSTALL, file=sys.stderr)
        return EXIT_UNUSABLE
    given = {"amqp": amqp, "stomp": stomp, "name_server": name_server}
    try:
        running = {name: parse_address(text) for name, text in given.items() if text is not None}
    except ValueError:
        print("rosettamq: an address is HOST:PORT, e.g. 127.0.0.1:5672", file=sys.stderr)
        return EXIT_UNUSABLE
    if running and len(running) < len(given):
        print("rosettamq: give all of --amqp, --stomp and --name-server", file=sys.stderr)
        return EXIT_UNUSABLE
    return _demonstrate(running)


def _demonstrate(running: Mapping[str, Address]) -> int:
    from gateway.demo.clients import CLIENT_ERRORS, make_clients

    console = Console(highlight=False)
    try:
        with _broker(running) as addresses:
            where = ", ".join(f"{name} {format_address(*at)}" for name, at in addresses.items())
            console.print(f"Broker: {where}", style="dim")
            journeys = list(travel(make_clients(addresses)))
    except (BrokerFailedError, *CLIENT_ERRORS) as error:
        console.print(f"The demonstration failed: {error!r}", style="red", markup=False)
        return 1
    console.print(make_table(journeys))
    changed = [journey for journey in journeys if journey.arrived != journey.sent]
    for journey in changed:
        console.print(f"sent {journey.sent}\n got {journey.arrived}", style="red", markup=False)
    console.print(
        "Each order was stored once, as it came, and put into its reader's language\n"
        "when it was read: body, content type, correlation id, headers, persistence."
    )
    return 1 if changed else 0


@contextmanager
def _broker(running: Mapping[str, Address]) -> Iterator[Mapping[str, Address]]:
    """The addresses of a broker: the one that runs, or one of our own in a temporary folder."""
    if running:
        yield running
        return
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-demo-") as folder,
        BrokerProcess(Path(folder)) as broker,
    ):
        yield broker.addresses


def travel(clients: list[Client]) -> Iterator[Journey]:
    """Let every client send one order to each of the others, through one queue per sender."""
    number = 0
    for sender in clients:
        queue = f"from-{sender.name.removesuffix('.py')}"
        for receiver in clients:
            if receiver is sender:
                continue
            number += 1
            sent = Sample(
                f"order {number}".encode(),
                content_type="text/plain",
                correlation_id=f"demo-{number}",
                persistent=True,
                headers={"customer": "Ada"},
            )
            sender.publish(queue, sent)
            (received,) = receiver.consume(queue, 1)
            yield Journey(sender.name, receiver.name, queue, sent, received.sample)


def make_table(journeys: list[Journey]) -> Table:
    """One line per order."""
    table = Table(title="What travelled where", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("sent with", "queue", "read with", "order", "same"):
        table.add_column(heading, no_wrap=True)
    for journey in journeys:
        arrived = journey.arrived
        intact = arrived == journey.sent
        table.add_row(
            f"{journey.sender} [dim]({LANGUAGES[journey.sender]})[/]",
            journey.queue,
            f"{journey.receiver} [dim]({LANGUAGES[journey.receiver]})[/]",
            arrived.body.decode(),
            "[green]yes[/]" if intact else "[red]no[/]",
        )
    return table
