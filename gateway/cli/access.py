"""The commands for users, virtual hosts and permissions, and for who is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli.calling import ENVIRONMENT, add_call, add_list, calling, vhost_option

if TYPE_CHECKING:
    from gateway.cli.client import Client


@click.group()
def users() -> None:
    """Who may log in."""


add_list(users, "All users.", "users", "name tags limits")
add_call(users, "delete", "Delete a user, and close its connections.", "DELETE", "users/{name}")


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


@click.group()
def vhosts() -> None:
    """Virtual hosts: namespaces of queues and exchanges."""


add_list(
    vhosts,
    "All virtual hosts.",
    "vhosts",
    "name description tags messages_ready messages_unacknowledged",
)
add_call(
    vhosts,
    "delete",
    "Delete a virtual host with everything in it, and close its connections.",
    "DELETE",
    "vhosts/{name}",
)


@vhosts.command("put")
@click.argument("name")
@click.option("--description", default="")
@click.option("--tags", default="", help="With commas.")
@calling
def put_vhost(client: Client, name: str, description: str, tags: str) -> None:
    """Create a virtual host, or describe it anew."""
    client.call("PUT", "vhosts", name, body={"description": description, "tags": tags})


@click.group()
def permissions() -> None:
    """What users may do in virtual hosts."""


add_list(permissions, "All permissions.", "permissions", "user vhost configure write read")
add_call(
    permissions,
    "clear",
    "Take a user's permissions away.",
    "DELETE",
    "permissions/{vhost}/{name}",
)


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


@click.group()
def connections() -> None:
    """Who is connected."""


add_list(
    connections,
    "All open connections.",
    "connections",
    "name user vhost protocol channels user_provided_name",
)


@connections.command("close")
@click.argument("name")
@click.option("--reason", default="Closed by an operator", show_default=True)
@calling
def close_connection(client: Client, name: str, reason: str) -> None:
    """Close a connection; its client hears the reason."""
    client.call("DELETE", "connections", name, headers={"X-Reason": reason})


GROUPS = (users, vhosts, permissions, connections)
