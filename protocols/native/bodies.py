"""JSON bodies: what Java's fastjson writes is read leniently, and what we write is strict."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from rosettamq.errors import ProtocolError

_T = TypeVar("_T")
_SIZE_MAX = 1 << 20  # Whatever is read of it may be kept, or worked off in one go.


def encode_body(value: object) -> bytes:
    """Write a JSON document."""
    return json.dumps(value, separators=(",", ":")).encode()


def decode_body(body: bytes, kind: type[_T], size_max: int = _SIZE_MAX) -> _T:
    """Read a JSON document of this type; raises `ProtocolError`."""
    if len(body) > size_max:
        raise ProtocolError(f"the body has {len(body)} bytes; the limit is {size_max}")
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the body cannot be read: {error}") from error
