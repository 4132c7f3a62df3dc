"""The commands for queues, exchanges and bindings; `queue_tools` has more of them for queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gateway.cli import queue_tools
from gateway.cli.calling import (
    add_call,
    add_list,
    arguments_option,
    calling,
    parse_object,
    vhost_option,
)

if TYPE_CHECKING:
    from gateway.cli.client import Client

_DEFAULT_EXCHANGE = "amq.default"

durable_option = click.option("--durable/--transient", default=True, show_default=True)
to_exchange_option = click.option(
    "--to-exchange", "kind", flag_value="e", help="The destination is an exchange, not a queue."
)


@click.group()
def queues() -> None:
    """Queues, and how full they are."""


add_list(
    queues,
    "All queues of a virtual host.",
    "queues/{vhost}",
    "name type durable auto_delete messages_ready messages_unacknowledged consumers paused"
    " arguments",
)
add_call(
    queues,
    "purge",
    "Drop the messages that are ready.",
    "DELETE",
    "queues/{vhost}/{name}/contents",
)
add_call(queues, "delete", "Delete a queue with its messages.", "DELETE", "queues/{vhost}/{name}")
queue_tools.add_to(queues)


@queues.command("declare")
@click.argument("name")
@durable_option
@click.option("--auto-delete", is_flag=True, help="Goes with its last consumer.")
@arguments_option
@vhost_option
@calling
def declare_queue(client: Client, name: str, vhost: str, arguments: str, **body: Any) -> None:
    """Create a queue, or check that it is so."""
    body["arguments"] = parse_object(arguments)
    client.call("PUT", "queues", vhost, name, body=body)


@click.group()
def exchanges() -> None:
    """Exchanges: where messages are sent to."""


add_list(
    exchanges,
    "All exchanges of a virtual host.",
    "exchanges/{vhost}",
    "name type durable auto_delete internal arguments",
)
add_call(exchanges, "delete", "Delete an exchange.", "DELETE", "exchanges/{vhost}/{name}")


@exchanges.command("declare")
@click.argument("name")
@click.argument("type", default="direct")
@durable_option
@click.option("--auto-delete", is_flag=True, help="Goes with its last binding.")
@click.option("--internal", is_flag=True, help="Only other exchanges send to it.")
@arguments_option
@vhost_option
@calling
def declare_exchange(client: Client, name: str, vhost: str, arguments: str, **body: Any) -> None:
    """Create an exchange, or check that it is so: direct, fanout, topic or headers."""
    body["arguments"] = parse_object(arguments)
    client.call("PUT", "exchanges", vhost, name, body=body)


@click.group()
def bindings() -> None:
    """Bindings: what goes from an exchange to a queue or another exchange."""


add_list(
    bindings,
    "All bindings of a virtual host.",
    "bindings/{vhost}",
    "source destination_type destination routing_key arguments properties_key",
)


@bindings.command("add")
@click.argument("source")
@click.argument("destination")
@click.argument("routing_key", default="")
@to_exchange_option
@arguments_option
@vhost_option
@calling
def add_binding(
    client: Client,
    source: str,
    destination: str,
    routing_key: str,
    kind: str | None,
    arguments: str,
    vhost: str,
) -> None:
    """Bind a queue, or an exchange, to an exchange."""
    path = ("bindings", vhost, "e", source or _DEFAULT_EXCHANGE, kind or "q", destination)
    body = {"routing_key": routing_key, "arguments": parse_object(arguments)}
    client.call("POST", *path, body=body)


@bindings.command("delete")
@click.argument("source")
@click.argument("destination")
@click.argument("properties_key", default="~")
@to_exchange_option
@vhost_option
@calling
def delete_binding(
    client: Client,
    source: str,
    destination: str,
    properties_key: str,
    kind: str | None,
    vhost: str,
) -> None:
    """Undo a binding; the list shows its properties_key."""
    path = ("bindings", vhost, "e", source, kind or "q", destination, properties_key)
    client.call("DELETE", *path)


GROUPS = (queues, exchanges, bindings)
