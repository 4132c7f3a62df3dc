"""What the commands that talk to a running broker share: which one it is, and their two shapes.

Most are one call of the HTTP API, about something that is named, or for a list of rows. A path
stands for its parts: `{vhost}` and `{name}` are what the user says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gateway.cli.client import Client

ENVIRONMENT = "ROSETTAMQ"

vhost_option = click.option(
    "--vhost", default="/", show_default=True, envvar=f"{ENVIRONMENT}_VHOST", help="Where."
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, with everything.")
arguments_option = click.option(
    "--arguments", default="{}", metavar="JSON", help="As a JSON object."
)


def calling(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which broker, and the client they make."""

    @click.option(
        "--url",
        default="http://127.0.0.1:15672",
        show_default=True,
        envvar=f"{ENVIRONMENT}_URL",
        help=f"Of the HTTP API; or {ENVIRONMENT}_URL.",
    )
    @click.option(
        "--user",
        "login",
        default="guest",
        show_default=True,
        envvar=f"{ENVIRONMENT}_USER",
        help=f"Who asks; or {ENVIRONMENT}_USER.",
    )
    @click.option(
        "--password",
        "login_password",
        default="guest",
        envvar=f"{ENVIRONMENT}_PASSWORD",
        help=f"Or {ENVIRONMENT}_PASSWORD.",
    )
    @wraps(function)
    def command(url: str, login: str, login_password: str, **options: Any) -> None:
        from gateway.cli.client import Client, ClientError

        try:
            function(Client(url, login, login_password), **options)
        except ClientError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise  # That of `| head`, of which Click makes an end without a word.
            raise click.ClickException(f"cannot write: {error.strerror}") from None

    return command


def add_list(group: click.Group, summary: str, path: str, columns: str) -> None:
    """Give a group the command `list`: these columns as a table, or everything as JSON."""

    @json_option
    @calling
    def list_rows(client: Client, as_json: bool, **named: str) -> None:
        show(client.call("GET", *_parts(path, named)), columns, as_json)

    group.command("list", help=summary)(_in_vhost(path, list_rows))


def add_call(group: click.Group, command: str, summary: str, method: str, path: str) -> None:
    """Give a group a command that is one call about something that has a name."""

    @calling
    def call(client: Client, **named: str) -> None:
        client.call(method, *_parts(path, named))

    group.command(command, help=summary)(click.argument("name")(_in_vhost(path, call)))


def _in_vhost(path: str, command: Callable[..., None]) -> Callable[..., None]:
    return vhost_option(command) if "{vhost}" in path else command


def _parts(path: str, named: dict[str, str]) -> list[str]:
    """What is in a name may be a slash: it is put in last."""
    return [part.format(**named) for part in path.split("/")]


def show(rows: Any, columns: str, as_json: bool) -> None:
    """Print rows: as JSON, or the columns, named with blanks between, as a table."""
    from gateway.cli.output import show_rows

    show_rows(rows, columns.split(), as_json)


def parse_object(text: str) -> Any:
    """The JSON object in an option. Raises `click.BadParameter`."""
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise click.BadParameter(f"{text!r} is no JSON object")
    return arguments
