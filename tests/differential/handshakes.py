"""Connections that begin, or fail to begin, in every way: the same said to both brokers.

These are cases, not drawn: each is a connection of its own, and nothing in one changes another.
RabbitMQ is silent for some seconds before it hangs up on whom it does not know, so all run at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.differential import wire
from tests.differential.client import CAPABILITIES, FRAME_MAX, Connection

# What a client says: after each part it waits for one answer, and after the last for all.
Said = Sequence[bytes]


def _start_ok(response: bytes, mechanism: str = "PLAIN", capable: bool = True) -> bytes:
    names = CAPABILITIES if capable else ()
    capabilities = tuple((name, ("t", True)) for name in names)
    return wire.method(
        0,
        "connection.start-ok",
        properties=(("capabilities", ("F", capabilities)),),
        mechanism=mechanism,
        response=response,
        locale="en_US",
    )


def _tune_ok(channel_max: int = 2047, frame_max: int = FRAME_MAX) -> bytes:
    return wire.method(
        0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max, heartbeat=0
    )


def _open(virtual_host: str = "/") -> bytes:
    return wire.method(0, "connection.open", virtual_host=virtual_host)


_GUEST = _start_ok(b"\0guest\0guest")
_LIMITED = _start_ok(b"\0limited\0limited")
_AMQPLAIN = wire.encode_table((("LOGIN", ("S", "guest")), ("PASSWORD", ("S", "guest"))))[4:]
_END = wire.method(0, "connection.close", code=200)
_LOGGED_IN = (wire.PROTOCOL_HEADER, _GUEST)

CASES: Mapping[str, Said] = {
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n",),
    "another version": (b"AMQP\0\0\x09\x02",),
    "version 9.0": (b"AMQP\1\1\0\x09", _END),
    "a wrong password": (wire.PROTOCOL_HEADER, _start_ok(b"\0guest\0wrong")),
    "an unknown user": (wire.PROTOCOL_HEADER, _start_ok(b"\0nobody\0guest")),
    "a wrong password, and no capability": (
        wire.PROTOCOL_HEADER,
        _start_ok(b"\0guest\0wrong", capable=False),
    ),
    "an empty password": (wire.PROTOCOL_HEADER, _start_ok(b"\0guest\0")),
    "an unknown mechanism": (wire.PROTOCOL_HEADER, _start_ok(b"", "STRANGE")),
    "a PLAIN response that is none": (wire.PROTOCOL_HEADER, _start_ok(b"guest")),
    "an identity to act for": (wire.PROTOCOL_HEADER, _start_ok(b"guest\0guest\0guest")),
    "AMQPLAIN": (
        wire.PROTOCOL_HEADER,
        _start_ok(_AMQPLAIN, "AMQPLAIN"),
        _tune_ok() + _open(),
        _END,
    ),
    "AMQPLAIN without a password": (
        wire.PROTOCOL_HEADER,
        _start_ok(wire.encode_table((("LOGIN", ("S", "guest")),))[4:], "AMQPLAIN"),
    ),
    "a method before the login": (wire.PROTOCOL_HEADER, wire.method(1, "channel.open")),
    "open before the login": (wire.PROTOCOL_HEADER, _open()),
    "close before the login": (wire.PROTOCOL_HEADER, _END),
    "a body before the login": (wire.PROTOCOL_HEADER, wire.frame(wire.BODY, 1, b"abc")),
    "open before tune-ok": (*_LOGGED_IN, _open()),
    "close before tune-ok": (*_LOGGED_IN, _END),
    "start-ok again": (*_LOGGED_IN, _GUEST),
    "a frame size that is too small": (*_LOGGED_IN, _tune_ok(frame_max=4095)),
    "a frame size that is too large": (*_LOGGED_IN, _tune_ok(frame_max=FRAME_MAX + 1)),
    "any frame size": (*_LOGGED_IN, _tune_ok(frame_max=0)),
    "any number of channels": (*_LOGGED_IN, _tune_ok(channel_max=0)),
    "too many channels": (*_LOGGED_IN, _tune_ok(channel_max=2048)),
    "a channel before open": (*_LOGGED_IN, _tune_ok() + wire.method(1, "channel.open")),
    "close before open": (*_LOGGED_IN, _tune_ok() + _END),
    "no such virtual host": (*_LOGGED_IN, _tune_ok() + _open("nowhere")),
    "a virtual host without a name": (*_LOGGED_IN, _tune_ok() + _open("")),
    "somebody else's virtual host": (
        wire.PROTOCOL_HEADER,
        _LIMITED,
        _tune_ok() + _open("private"),
    ),
    "a channel above the greatest": (
        *_LOGGED_IN,
        _tune_ok(channel_max=10) + _open(),
        wire.method(11, "channel.open") + _END,
    ),
    "more channels than agreed": (
        *_LOGGED_IN,
        _tune_ok(channel_max=1) + _open(),
        wire.method(1, "channel.open"),
        wire.method(2, "channel.open"),
    ),
    "a frame above the greatest": (
        *_LOGGED_IN,
        _tune_ok(frame_max=8192) + _open(),
        wire.frame(wire.METHOD, 1, bytes(8193)),
    ),
    "open, and the end": (*_LOGGED_IN, _tune_ok() + _open(), _END),
}  # fmt: skip

# RabbitMQ 3.10 hangs up without a word: see `differences`.
SILENT = (
    "open before tune-ok",
    "close before tune-ok",
    "start-ok again",
    "a frame size that is too small",
    "a frame size that is too large",
    "any frame size",
    "any number of channels",
    "too many channels",
)


def answers(port: int) -> dict[str, list[str]]:
    """What a broker answers in each case, as far as it is to be compared."""
    with ThreadPoolExecutor(len(CASES)) as threads:
        heard = threads.map(lambda said: _converse(port, said), CASES.values())
    return {
        case: lines[:-1] if case in SILENT else lines
        for case, lines in zip(CASES, heard, strict=True)
    }


def _converse(port: int, said: Said) -> list[str]:
    connection = Connection(port, user=None)
    heard = []
    for part in said:
        connection.send(part)
        if connection.alive:
            heard.append(_listen(connection))
    while connection.alive:
        heard.append(_listen(connection))
    return heard


def _listen(connection: Connection) -> str:
    event = connection.receive()
    if event.name in ("connection.start", "closed"):
        # Of ourselves we tell other things; what is no frame is a protocol header.
        return f"{event.name} {connection.unread!r}"
    return f"{event.channel} {event.name} {event.fields}"
