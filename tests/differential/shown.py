"""Contents of deliveries as lines that can be compared."""

from __future__ import annotations

import zlib

from pamqp import decode

from tests.differential import wire
from tests.differential.client import Event

_REPLY_TO = b"amq.rabbitmq.reply-to"


def shown_content(event: Event, decodes: bool) -> str:
    """The properties, then the body: all of a short one."""
    body = event.body
    shown = repr(body)[1:] if len(body) <= 12 else f"{body[:8]!r}..., {len(body)} bytes,"
    if len(body) > 12:
        shown += f" crc {zlib.crc32(body):x}"
    return f"| {_shown_properties(event.properties, decodes)} | {shown}"


def _shown_properties(octets: bytes, decodes: bool) -> str:
    """As they are; those of a dead letter, an address for replies, and what `decodes`, as text.

    Left out is when a letter died, what RabbitMQ tells of that since 3.13, and the count of 0 that
    3.10 gives to what basic.get takes from a quorum queue for the first time. So is the order of
    headers, which RabbitMQ changes at times where it adds some.
    """
    is_dead = b"\x07x-death" in octets
    if not (is_dead or decodes or _REPLY_TO in octets):
        return octets.hex()
    properties = wire.decode_properties(octets)
    table = properties.pop("headers", b"")
    _, headers = decode.field_table(len(table).to_bytes(4, "big") + table)
    for name in [name for name in headers if name.startswith("x-last-death-")]:
        del headers[name]
    if is_dead:
        for death in headers["x-death"]:
            death["time"] = type(death["time"]).__name__
    if headers.get("x-delivery-count") == 0:
        del headers["x-delivery-count"]
    shown = {"headers": dict(sorted(headers.items()))} if headers else {}
    return repr(properties | shown)
