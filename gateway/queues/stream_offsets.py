"""Where in a stream a consumer begins (`x-stream-offset`), and ages (`x-max-age`), as texts.

A consumer begins at the `first` message, at the `last` chunk, with what comes `next`, with what was
stored since a time (a timestamp, or an age such as `7D` or `1h`), or at an offset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.values import Timestamp, is_integer

_AGE = re.compile(r"([0-9]{1,15})([YMDhms])", re.ASCII)
_DAY_MS = 86_400_000
_UNITS_MS = {
    "Y": 365 * _DAY_MS,
    "M": 30 * _DAY_MS,
    "D": _DAY_MS,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
}


@dataclass(frozen=True, slots=True)
class Since:
    """What was stored at this time or later."""

    timestamp_ms: int


Start: TypeAlias = "Literal['first', 'last', 'next'] | int | Since"


def parse_age_ms(text: str) -> int | None:
    """An age such as `7D`; None if it is none."""
    match = _AGE.fullmatch(text)
    if match is None or not int(match[1]):
        return None
    return int(match[1]) * _UNITS_MS[match[2]]


def parse_stream_offset(value: object, now_ms: int) -> Start | None:
    """Where a consumer wants to begin; None if nobody can tell."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    match value:
        case "first" | "last" | "next":
            return value
        case str():
            age_ms = parse_age_ms(value)
            return None if age_ms is None else Since(now_ms - age_ms)
        case Timestamp():
            return Since(int(value) * 1000)
        case int() if is_integer(value):
            return int(value)
    return None
