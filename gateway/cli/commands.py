"""The commands, one group per kind of thing; each is one call of the HTTP API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

import click

from gateway.cli.calling import (
    ENVIRONMENT,
    arguments_option,
    calling,
    json_option,
    parse_object,
    show,
    vhost_option,
)

if TYPE_CHECKING:
    from gateway.cli.client import Client

_DEFAULT_EXCHANGE = "amq.default"

# Users


@click.group()
def users() -> None:
    """Who may log in."""


@users.command("list")
@json_option
@calling
def list_users(client: Client, as_json: bool) -> None:
    """All users."""
    show(client.call("GET", "users"), "name tags limits", as_json)


@users.command("put")
@click.argument("name")
@click.option("--tags", default="", help="With commas: administrator, monitoring, management.")
@click.option(
    "--new-password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    envvar=f"{ENVIRONMENT}_NEW_PASSWORD",
    help=f"Asked for if not given; or {ENVIRONMENT}_NEW_PASSWORD.",
)
@calling
def put_user(client: Client, name: str, tags: str, new_password: str) -> None:
    """Create a user, or change its password and tags."""
    client.call("PUT", "users", name, body={"password": new_password, "tags": tags})


@users.command("delete")
@click.argument("name")
@calling
def delete_user(client: Client, name: str) -> None:
    """Delete a user, and close its connections."""
    client.call("DELETE", "users", name)


# Virtual hosts


@click.group()
def vhosts() -> None:
    """Virtual hosts: namespaces of queues and exchanges."""


@vhosts.command("list")
@json_option
@calling
def list_vhosts(client: Client, as_json: bool) -> None:
    """All virtual hosts."""
    columns = "name description tags messages_ready messages_unacknowledged"
    show(client.call("GET", "vhosts"), columns, as_json)


@vhosts.command("put")
@click.argument("name")
@click.option("--description", default="")
@click.option("--tags", default="", help="With commas.")
@calling
def put_vhost(client: Client, name: str, description: str, tags: str) -> None:
    """Create a virtual host, or describe it anew."""
    client.call("PUT", "vhosts", name, body={"description": description, "tags": tags})


@vhosts.command("delete")
@click.argument("name")
@calling
def delete_vhost(client: Client, name: str) -> None:
    """Delete a virtual host with everything in it, and close its connections."""
    client.call("DELETE", "vhosts", name)


# Permissions


@click.group()
def permissions() -> None:
    """What users may do in virtual hosts."""


@permissions.command("list")
@json_option
@calling
def list_permissions(client: Client, as_json: bool) -> None:
    """All permissions."""
    show(client.call("GET", "permissions"), "user vhost configure write read", as_json)


@permissions.command("set")
@click.argument("name")
@click.argument("configure", default=".*")
@click.argument("write", default=".*")
@click.argument("read", default=".*")
@vhost_option
@calling
def set_permissions(
    client: Client, name: str, configure: str, write: str, read: str, vhost: str
) -> None:
    """Let a user into a virtual host. Three regular expressions of names; '' is none."""
    body = {"configure": configure, "write": write, "read": read}
    client.call("PUT", "permissions", vhost, name, body=body)


@permissions.command("clear")
@click.argument("name")
@vhost_option
@calling
def clear_permissions(client: Client, name: str, vhost: str) -> None:
    """Take a user's permissions away."""
    client.call("DELETE", "permissions", vhost, name)


# Queues


@click.group()
def queues() -> None:
    """Queues, and how full they are."""


@queues.command("list")
@vhost_option
@json_option
@calling
def list_queues(client: Client, vhost: str, as_json: bool) -> None:
    """All queues of a virtual host."""
    columns = (
        "name type durable auto_delete messages_ready messages_unacknowledged consumers paused"
        " arguments"
    )
    show(client.call("GET", "queues", vhost), columns, as_json)


@queues.command("declare")
@click.argument("name")
@click.option("--durable/--transient", default=True, show_default=True)
@click.option("--auto-delete", is_flag=True, help="Goes with its last consumer.")
@arguments_option
@vhost_option
@calling
def declare_queue(
    client: Client, name: str, durable: bool, auto_delete: bool, arguments: str, vhost: str
) -> None:
    """Create a queue, or check that it is so."""
    body = {
        "durable": durable,
        "auto_delete": auto_delete,
        "arguments": parse_object(arguments),
    }
    client.call("PUT", "queues", vhost, name, body=body)


@queues.command("purge")
@click.argument("name")
@vhost_option
@calling
def purge_queue(client: Client, name: str, vhost: str) -> None:
    """Drop the messages that are ready."""
    client.call("DELETE", "queues", vhost, name, "contents")


@queues.command("delete")
@click.argument("name")
@vhost_option
@calling
def delete_queue(client: Client, name: str, vhost: str) -> None:
    """Delete a queue with its messages."""
    client.call("DELETE", "queues", vhost, name)


# Exchanges


@click.group()
def exchanges() -> None:
    """Exchanges: where messages are sent to."""


@exchanges.command("list")
@vhost_option
@json_option
@calling
def list_exchanges(client: Client, vhost: str, as_json: bool) -> None:
    """All exchanges of a virtual host."""
    columns = "name type durable auto_delete internal arguments"
    show(client.call("GET", "exchanges", vhost), columns, as_json)


@exchanges.command("declare")
@click.argument("name")
@click.argument("type", default="direct")
@click.option("--durable/--transient", default=True, show_default=True)
@click.option("--auto-delete", is_flag=True, help="Goes with its last binding.")
@click.option("--internal", is_flag=True, help="Only other exchanges send to it.")
@arguments_option
@vhost_option
@calling
def declare_exchange(client: Client, name: str, vhost: str, arguments: str, **body: Any) -> None:
    """Create an exchange, or check that it is so: direct, fanout, topic or headers."""
    body["arguments"] = parse_object(arguments)
    client.call("PUT", "exchanges", vhost, name, body=body)


@exchanges.command("delete")
@click.argument("name")
@vhost_option
@calling
def delete_exchange(client: Client, name: str, vhost: str) -> None:
    """Delete an exchange."""
    client.call("DELETE", "exchanges", vhost, name)


# Bindings


@click.group()
def bindings() -> None:
    """Bindings: what goes from an exchange to a queue or another exchange."""


to_exchange_option = click.option(
    "--to-exchange", "kind", flag_value="e", help="The destination is an exchange, not a queue."
)


@bindings.command("list")
@vhost_option
@json_option
@calling
def list_bindings(client: Client, vhost: str, as_json: bool) -> None:
    """All bindings of a virtual host."""
    columns = "source destination_type destination routing_key arguments properties_key"
    show(client.call("GET", "bindings", vhost), columns, as_json)


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


# Connections


@click.group()
def connections() -> None:
    """Who is connected."""


@connections.command("list")
@json_option
@calling
def list_connections(client: Client, as_json: bool) -> None:
    """All open connections."""
    columns = "name user vhost protocol channels user_provided_name"
    show(client.call("GET", "connections"), columns, as_json)


@connections.command("close")
@click.argument("name")
@click.option("--reason", default="Closed by an operator", show_default=True)
@calling
def close_connection(client: Client, name: str, reason: str) -> None:
    """Close a connection; its client hears the reason."""
    client.call("DELETE", "connections", name, headers={"X-Reason": reason})


# Definitions


@click.group()
def definitions() -> None:
    """Everything that is defined, as one document."""


def _path(vhost: str | None) -> list[str]:
    return ["definitions"] if vhost is None else ["definitions", vhost]


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


GROUPS = (users, vhosts, permissions, queues, exchanges, bindings, connections, definitions)
