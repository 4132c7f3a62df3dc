"""RocketMQ's properties that delay a message: the level, and the arbitrary times.

The first that is there counts, and the level before the others. A time that is past, and a delay
of 0, are none.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.delays.schedules import (
    DELAY_MS_MAX,
    NEGATED_HEADERS,
    SCHEDULE_HEADERS,
    Schedule,
    parse_number,
)
from gateway.delays.schedules import find_schedule as find_own_schedule
from gateway.errors import PreconditionFailedError
from rosettamq.remoting.properties import DELAY, TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS

# RocketMQ's default table: levels 1 to 18; above it, all are the last.
LEVELS_S = (
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
)  # fmt: skip
_TIMERS = ((TIMER_DELAY_SEC, 1000), (TIMER_DELAY_MS, 1), (TIMER_DELIVER_MS, 1))
_NAMES = frozenset((DELAY, *(name for name, _ in _TIMERS)))
_ALL_NAMES = SCHEDULE_HEADERS | _NAMES


def level_s(level: int) -> int:
    """How long a delay level is, from 1 on."""
    return LEVELS_S[min(level, len(LEVELS_S)) - 1]


def may_delay(texts: Mapping[str, str]) -> bool:
    """Is there a property that may ask for a later time?"""
    return not _ALL_NAMES.isdisjoint(texts)


def find_schedule(texts: Mapping[str, str]) -> Schedule | None:
    """When a message is to be published, if not at once. Raises `PreconditionFailedError`."""
    if DELAY in texts and (level := _number(DELAY, texts[DELAY])):
        return Schedule(level_s(level) * 1000)
    for name, unit_ms in _TIMERS:
        if name not in texts:
            continue
        number = _number(name, texts[name])
        if name == TIMER_DELIVER_MS:
            return Schedule(at_ms=number) if number else None
        if number * unit_ms > DELAY_MS_MAX:
            raise PreconditionFailedError(
                f"{name} is {number}; the limit is {DELAY_MS_MAX // unit_ms}"
            )
        return Schedule(number * unit_ms) if number else None
    return find_own_schedule(texts)


def without_delay(texts: Mapping[str, str]) -> dict[str, str]:
    """The properties of a message whose time has come."""
    kept = {name: text for name, text in texts.items() if name not in _NAMES}
    for name in NEGATED_HEADERS:
        delay_ms = parse_number(kept.get(name))
        if delay_ms is not None and delay_ms > 0:
            kept[name] = str(-delay_ms)
    return kept


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise PreconditionFailedError(f"{name} is '{text:.50}', which is no number")
    return int(text)
