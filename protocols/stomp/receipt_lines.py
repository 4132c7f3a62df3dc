"""The one header that differs from SEND to SEND: `receipt`. All around it is found out once.

Whoever asks for receipts makes every header block unique. So a block is known by the octets before
and behind its receipt line, and what a MESSAGE says of it by what stands around that line there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE = b"\nreceipt:"
# A receipt that means what it says, octet by octet: no escape, no colon, no space in front.
_PLAIN = re.compile(rb"[!-9;-\[\]-~][ -9;-\[\]-~]*")

# What a block is known by: before the LF of its receipt line, and from its end on.
Around: TypeAlias = "tuple[bytes, bytes]"


def split(block: bytes) -> tuple[Around, bytes] | None:
    """What is around the first receipt of a header block, and the receipt; None without one.

    A block that begins with one counts as one without, and so does one that has to be unescaped.
    """
    start = block.find(_LINE)
    if start < 0 or block.startswith(_LINE[1:]):
        return None
    end = block.index(b"\n", start + 1)
    receipt = block[start + len(_LINE) : end]
    return ((block[:start], block[end:]), receipt) if _PLAIN.fullmatch(receipt) else None


def make_lines(own_lines: bytes, receipt: bytes) -> Callable[[bytes], bytes]:
    """What a MESSAGE says that differs in its receipt only, from what it says with this one."""
    before, _, after = (b"\n" + own_lines).partition(_LINE + receipt + b"\n")
    start = (before + _LINE)[1:]
    return lambda other: b"%b%b\n%b" % (start, other, after)
