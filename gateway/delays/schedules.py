"""When a message is to be published, if not at once: what its headers ask for, in any language.

`x-rosetta-delay` is a number of milliseconds, `x-rosetta-deliver-at` a time in milliseconds since
1970. Neither name means anything to RabbitMQ. `x-delay` counts for exchanges of the type
`x-delayed-message` only (see `delayed_exchanges`), and as that plugin reads it.

A message is delivered with its delay negated, as the plugin does: so it can be told that it was
delayed, and is not delayed again when it is sent on with the headers that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.delays.cron import Cron
from gateway.errors import PreconditionFailedError
from gateway.messages import Value

DELAY = "x-rosetta-delay"
DELIVER_AT = "x-rosetta-deliver-at"
EXCHANGE_DELAY = "x-delay"
SCHEDULE_HEADERS = frozenset((DELAY, DELIVER_AT, EXCHANGE_DELAY))
NEGATED_HEADERS = (DELAY, EXCHANGE_DELAY)

EXCHANGE_DELAY_MS_MAX = 4_294_967_295
DELAY_MS_MAX = 315_360_000_000  # Ten years.


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a message is published: after a delay, or at a time; and perhaps again.

    It comes `repeat_count` times more (-1: for ever), every `period_ms`; or, with `cron`, at each
    of its times.
    """

    delay_ms: int = 0
    at_ms: int | None = None
    period_ms: int = 0
    repeat_count: int = 0
    cron: Cron | None = None

    def first_ms(self, now_ms: int) -> int:
        """When it is published for the first time, if it is accepted now."""
        if self.cron is not None:
            return self.cron.next_ms(now_ms + self.delay_ms)
        return now_ms + self.delay_ms if self.at_ms is None else max(self.at_ms, 0)


def find_schedule(headers: Mapping[str, Value]) -> Schedule | None:
    """What our own headers ask for. Raises `PreconditionFailedError` for what they cannot say."""
    if DELAY in headers:
        delay_ms = parse_delay(DELAY, headers[DELAY])
        return Schedule(delay_ms) if delay_ms > 0 else None
    if DELIVER_AT in headers:
        at_ms = parse_number(headers[DELIVER_AT])
        if at_ms is None or not 0 <= at_ms < 1 << 62:
            raise _invalid(DELIVER_AT, headers[DELIVER_AT], "a time in milliseconds since 1970")
        return Schedule(at_ms=at_ms)
    return None


def find_exchange_delay(headers: Mapping[str, Value]) -> Schedule | None:
    """What `x-delay` asks for; what it cannot say counts as nothing."""
    delay_ms = parse_number(headers.get(EXCHANGE_DELAY))
    if delay_ms is None or not 0 < delay_ms <= EXCHANGE_DELAY_MS_MAX:
        return None
    return Schedule(delay_ms)


def negate(headers: Mapping[str, Value]) -> dict[str, Value]:
    """The headers of a message that was delayed; texts stay texts."""
    negated = dict(headers)
    for name in NEGATED_HEADERS:
        value = negated.get(name)
        delay_ms = parse_number(value)
        if delay_ms is not None and delay_ms > 0:
            negated[name] = str(-delay_ms) if isinstance(value, str) else -delay_ms
    return negated


def parse_number(value: Value) -> int | None:
    """A number, or a text that is one; fractions are cut off. None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return int(value)
        except (OverflowError, ValueError):  # Not a finite number.
            return None
    if isinstance(value, str) and len(value) < 20:
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() else None
    return None


def parse_delay(name: str, value: Value) -> int:
    """The milliseconds of a header. Raises `PreconditionFailedError`."""
    delay_ms = parse_number(value)
    if delay_ms is None or delay_ms > DELAY_MS_MAX:
        raise _invalid(name, value, f"a number of milliseconds, {DELAY_MS_MAX} at most")
    return delay_ms


def _invalid(name: str, value: Value, expected: str) -> PreconditionFailedError:
    return PreconditionFailedError(f"invalid {name} '{value!s:.50}': expected {expected}")
