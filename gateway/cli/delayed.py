"""The commands for delayed messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.calling import calling, json_option, vhost_option

if TYPE_CHECKING:
    from gateway.cli.client import Client

_COLUMNS = ("id", "at", "exchange", "routing_key", "payload_bytes", "properties")


@click.group()
def delayed() -> None:
    """Messages that wait for their time."""


@delayed.command("list")
@vhost_option
@click.option("--count", default=100, show_default=True, help="How many at most.")
@click.option("--after", default="", metavar="ID", help="Begin behind this one.")
@json_option
@calling
def list_delayed(client: Client, vhost: str, count: int, after: str, as_json: bool) -> None:
    """The next messages, in the order of their times (UTC)."""
    from gateway.cli.output import show_rows

    query = {"count": str(count), **({"after": after} if after else {})}
    answer = client.call("GET", "delayed", vhost, query=query)
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    show_rows([_row(item) for item in answer["items"]], _COLUMNS, False)
    if answer["next"] is not None:
        click.echo(f"of {answer['total_count']}; more with --after {answer['next']}", err=True)


@delayed.command("cancel")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@vhost_option
@calling
def cancel_delayed(client: Client, ids: tuple[str, ...], vhost: str) -> None:
    """Do not publish these messages."""
    for id in ids:
        client.call("DELETE", "delayed", vhost, id)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(item["deliver_at"] / 1000, UTC)
    return {**item, "at": at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")}
