"""What can be said in STOMP, as values that hypothesis draws, shrinks and prints.

In headers `~` stands for this example's own prefix of names. To add an operation, add a `Say`, or
one more class and its case in `session`; then let `sequences.py` draw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tests.differential.steps import Burst, Drop
from tests.differential.stomp.client import Headers


@dataclass(frozen=True)
class Say:
    """One frame as it stands."""

    command: str
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True)
class Send:
    """`count` messages of one kind, each with a body of its own; a receipt gets their numbers."""

    destination: str
    headers: Headers = ()
    size: int = 5
    count: int = 1
    receipt: bool = False
    measured: bool = True  # With a content-length.


@dataclass(frozen=True)
class Settle:
    """ACK or NACK of the `pick`-th delivery that is outstanding."""

    command: str
    pick: int = 0
    headers: Headers = ()


@dataclass(frozen=True)
class Connect:
    """Another connection in the place of this one, opened with these headers."""

    headers: Headers
    command: str = "CONNECT"


@dataclass(frozen=True)
class Raw:
    """Octets that no client should send, by what is wrong with them: see `WRONG`."""

    wrong: str


Operation: TypeAlias = "Say | Send | Settle | Connect | Raw | Burst[Operation] | Drop"


@dataclass(frozen=True)
class Step:
    """An operation on a connection, which is opened if it is not open."""

    connection: int
    operation: Operation


# What is wrong -> the octets.
WRONG: dict[str, bytes] = {
    "a header without a colon": b"SEND\ndestination\n\n\0",
    "an undefined escape": b"SEND\ndestination:/queue/a\\t\n\n\0",
    "a lone CR in a header": b"SEND\ndestination:/queue/a\rb\n\n\0",
    "a lone CR in a command": b"SE\rND\ndestination:/topic/a\n\n\0",
    "content-length is no number": b"SEND\ndestination:/topic/a\ncontent-length:x\n\nabc\0",
    "content-length is negative": b"SEND\ndestination:/topic/a\ncontent-length:-1\n\nabc\0",
    "no NUL after the content": b"SEND\ndestination:/topic/a\ncontent-length:2\n\nabc\0",
    "a second CONNECT": b"CONNECT\naccept-version:1.2\n\n\0",
    "a second STOMP": b"STOMP\naccept-version:1.2\n\n\0",
    "CR LF throughout": b"SEND\r\ndestination:/topic/crlf\r\nreceipt:crlf\r\n\r\nhello\0\r\n",
    "heart-beats": b"\n\n\r\n\0\n",
    "an unknown command": b"WRONGCMD\n\n\0",
    "a command in lower case": b"send\ndestination:/topic/a\n\n\0",
    "a command of the server's": b"MESSAGE\ndestination:/topic/a\n\n\0",
    "an empty header name": b"SEND\ndestination:/topic/a\n:x\nreceipt:e\n\nhello\0",
    "a repeated header": b"SEND\ndestination:/topic/a\nreceipt:r1\nreceipt:r2\n\nhello\0",
    "escapes in every place": b"SEND\ndestination:/topic/a\nre\\ceipt:1\n"
    b"receipt:\\c\\n\\r\\\\\n\n.\0",
    "a header value with colons": b"SEND\ndestination:/topic/a\nreceipt:a:b:c\n\n.\0",
    "spaces around a content-length": b"SEND\ndestination:/topic/a\nreceipt:sp\n"
    b"content-length: 3 \n\nabc\0",
    "a body where none may be": b"BEGIN\ntransaction:body\nreceipt:b\n\nbody\0",
    "a content-length on BEGIN": b"BEGIN\ntransaction:body\nreceipt:b\ncontent-length:2\n\nbody\0",
}
