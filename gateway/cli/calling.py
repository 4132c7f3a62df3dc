"""What the commands that talk to a running broker share: which one it is, how rows are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    pass

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

    return command


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
