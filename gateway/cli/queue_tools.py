"""Commands of the group `queues` that RabbitMQ's users never had: to browse, pause, rewind ..."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.calling import add_call, calling, json_option, show, vhost_option

if TYPE_CHECKING:
    from gateway.cli.client import Client

_SHOWN_SIZE = 200  # Of a body, in a table.
_LONG_S = 3600.0  # Reading the log of days takes a while.
_AGO = re.compile(r"-(\d{1,9})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


@click.command("browse")
@click.argument("name")
@click.option("--count", default=10, show_default=True, help="At most so many messages.")
@click.option("--from", "start", default=0, metavar="OFFSET", help="From this offset on.")
@vhost_option
@json_option
@calling
def browse_queue(
    client: Client, name: str, count: int, start: int, vhost: str, as_json: bool
) -> None:
    """Look at messages without touching them."""
    query = {"count": str(count), "from": str(start)}
    if not as_json:
        query["truncate"] = str(_SHOWN_SIZE)
    rows = client.call("GET", "queues", vhost, name, "browse", query=query)
    if not as_json:
        rows = [_browsed_row(row) for row in rows]
    show(rows, "offset state stored exchange routing_key properties payload", as_json)


def _browsed_row(row: dict[str, Any]) -> dict[str, Any]:
    stored = datetime.fromtimestamp(row["stored_at"] / 1000).astimezone()
    return {**row, "stored": stored.isoformat(" ", "seconds")}


@click.command("rewind")
@click.argument("name")
@click.option(
    "--to",
    required=True,
    help="10:15 (today), an ISO time, -2h (also s, m, d), or an offset.",
)
@vhost_option
@calling
def rewind_queue(client: Client, name: str, to: str, vhost: str) -> None:
    """Have all messages since then delivered again that are still in the log."""
    body = parse_point(to, datetime.now().astimezone())
    answer = client.call("POST", "queues", vhost, name, "rewind", body=body, timeout_s=_LONG_S)
    click.echo(f"{answer['more_ready']} more messages are ready")


def parse_point(text: str, now: datetime) -> dict[str, Any]:
    """What `--to` means, as the API wants it; times without a zone are of `now`'s."""
    if text.isascii() and text.isdigit():
        return {"offset": int(text)}
    if (ago := _AGO.fullmatch(text)) is not None:
        time = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    elif (clock := _CLOCK.fullmatch(text)) is not None:
        hour, minute, second = (int(part or 0) for part in clock.groups())
        try:
            time = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        except ValueError as error:
            raise click.BadParameter(f"{text!r}: {error}") from None
    else:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is no time of the day, ISO time, age or offset"
            ) from None
        if time.tzinfo is None:
            time = time.replace(tzinfo=now.tzinfo)
    return {"time": time.isoformat()}


@click.command("put-back")
@click.argument("name")
@click.option("--reason", help="Only those that died of it: rejected, expired, maxlen ...")
@click.option("--queue", help="Only those that died in it.")
@click.option("--match", "matches", multiple=True, metavar="HEADER=VALUE", help="Only such.")
@click.option("--count", type=int, help="At most so many.")
@click.option(
    "--to", metavar="EXCHANGE/KEY", help="There, and not to the queue in which they died."
)
@vhost_option
@calling
def put_back(
    client: Client,
    name: str,
    reason: str | None,
    queue: str | None,
    matches: tuple[str, ...],
    count: int | None,
    to: str | None,
    vhost: str,
) -> None:
    """Put dead letters back to where they died."""
    body: dict[str, Any] = {"reason": reason, "queue": queue, "count": count}
    body["headers"] = dict(_parse_match(match) for match in matches)
    if to is not None:
        exchange, slash, routing_key = to.partition("/")
        body["to"] = {"exchange": exchange, "routing_key": routing_key if slash else None}
    answer = client.call(
        "POST", "queues", vhost, name, "dead-letters", body=body, timeout_s=_LONG_S
    )
    click.echo(f"{answer['put_back']} put back, {answer['left']} found no queue with room")


def _parse_match(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not HEADER=VALUE")
    return name, value


def add_to(queues: click.Group) -> None:
    """Give the group `queues` these commands."""
    for command in (browse_queue, rewind_queue, put_back):
        queues.add_command(command)
    add_call(
        queues,
        "pause",
        "Deliver nothing until it is resumed; publishing goes on, consumers stay.",
        "POST",
        "queues/{vhost}/{name}/pause",
    )
    add_call(queues, "resume", "Deliver again.", "POST", "queues/{vhost}/{name}/resume")
