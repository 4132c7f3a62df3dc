"""The commands for everything that is defined, as one document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TextIO

import click

from gateway.cli.calling import calling

if TYPE_CHECKING:
    from gateway.cli.client import Client


@click.group()
def definitions() -> None:
    """Everything that is defined, as one document."""


@definitions.command("export")
@click.argument("file", type=click.File("w"), default="-")
@click.option("--vhost", help="Only what is in this one.")
@calling
def export_definitions(client: Client, file: TextIO, vhost: str | None) -> None:
    """Write them to a file, or to stdout."""
    json.dump(client.call("GET", *_path(vhost)), file, indent=2)
    file.write("\n")


@definitions.command("import")
@click.argument("file", type=click.File("r"))
@click.option("--vhost", help="Into this one.")
@calling
def import_definitions(client: Client, file: TextIO, vhost: str | None) -> None:
    """Define what a file says, RabbitMQ's too; nothing is deleted."""
    try:
        document = json.load(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name} is no JSON: {error}") from None
    client.call("POST", *_path(vhost), body=document)


def _path(vhost: str | None) -> list[str]:
    return ["definitions"] if vhost is None else ["definitions", vhost]
