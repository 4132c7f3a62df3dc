"""The commands for policies and operator policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli.calling import calling, json_option, parse_object, show, vhost_option

if TYPE_CHECKING:
    from gateway.cli.client import Client

operator_option = click.option(
    "--operator",
    "kind",
    flag_value="operator-policies",
    help="An operator policy: it limits what policies and clients may ask for.",
)


@click.group()
def policies() -> None:
    """Policies: arguments for queues and exchanges by their names, at any time."""


@policies.command("list")
@operator_option
@vhost_option
@json_option
@calling
def list_policies(client: Client, kind: str | None, vhost: str, as_json: bool) -> None:
    """All policies of a virtual host, the most important ones first."""
    rows = client.call("GET", kind or "policies", vhost)
    show(rows, "name pattern apply-to priority definition", as_json)


@policies.command("put")
@click.argument("name")
@click.argument("pattern")
@click.argument("definition")
@click.option("--priority", type=int, default=0, show_default=True, help="The highest one holds.")
@click.option(
    "--apply-to",
    type=click.Choice(["all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"]),
    default="all",
    show_default=True,
)
@operator_option
@vhost_option
@calling
def put_policy(
    client: Client,
    name: str,
    pattern: str,
    definition: str,
    priority: int,
    apply_to: str,
    kind: str | None,
    vhost: str,
) -> None:
    """Have a policy hold, at once, for all whose names the PATTERN is found in.

    The DEFINITION is a JSON object, such as '{"max-length": 1000}'.
    """
    body = {
        "pattern": pattern,
        "definition": parse_object(definition),
        "priority": priority,
        "apply-to": apply_to,
    }
    client.call("PUT", kind or "policies", vhost, name, body=body)


@policies.command("delete")
@click.argument("name")
@operator_option
@vhost_option
@calling
def delete_policy(client: Client, name: str, kind: str | None, vhost: str) -> None:
    """Have a policy hold no more."""
    client.call("DELETE", kind or "policies", vhost, name)
