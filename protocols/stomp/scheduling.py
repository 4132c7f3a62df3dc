"""ActiveMQ's headers that schedule a message, beside our own.

`AMQ_SCHEDULED_DELAY` in milliseconds (Classic and Artemis), `AMQ_SCHEDULED_TIME` in milliseconds
since 1970 (Artemis); `AMQ_SCHEDULED_PERIOD` and `AMQ_SCHEDULED_REPEAT` have it come again, so often
more (-1: for ever); `AMQ_SCHEDULED_CRON` at each time that the expression names, in UTC. As in
ActiveMQ, who names a period and no delay waits for one period. Subscribers do not see any of these.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.delays.cron import Cron
from gateway.delays.schedules import DELAY_MS_MAX, SCHEDULE_HEADERS, Schedule, negate, parse_number
from gateway.delays.schedules import find_schedule as find_own_schedule
from gateway.errors import PreconditionFailedError
from gateway.translation import value_text

DELAY = "AMQ_SCHEDULED_DELAY"
TIME = "AMQ_SCHEDULED_TIME"
PERIOD = "AMQ_SCHEDULED_PERIOD"
REPEAT = "AMQ_SCHEDULED_REPEAT"
CRON = "AMQ_SCHEDULED_CRON"
_NAMES = frozenset((DELAY, TIME, PERIOD, REPEAT, CRON))
_ALL_NAMES = SCHEDULE_HEADERS | _NAMES


def may_delay(headers: Mapping[str, str]) -> bool:
    """Is there a header that may ask for a later time?"""
    return not _ALL_NAMES.isdisjoint(headers)


def find_schedule(headers: Mapping[str, str]) -> Schedule | None:
    """When a message is to be published, if not at once. Raises `PreconditionFailedError`."""
    if _NAMES.isdisjoint(headers):
        return find_own_schedule(headers)
    delay_ms = _number(headers, DELAY, 0, DELAY_MS_MAX)
    if CRON in headers:
        try:
            return Schedule(delay_ms, cron=Cron.parse(headers[CRON]))
        except ValueError as error:
            raise PreconditionFailedError(f"invalid {CRON}: {error}") from None
    period_ms = _number(headers, PERIOD, 0, DELAY_MS_MAX)
    repeat_count = _number(headers, REPEAT, -1, 1 << 31)
    at_ms = _number(headers, TIME, 0, 1 << 62)
    if not (delay_ms or at_ms or period_ms):
        return None
    return Schedule(delay_ms or period_ms, at_ms or None, period_ms, repeat_count)


def without_schedule(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a message whose time has come."""
    kept = {name: text for name, text in headers.items() if name not in _NAMES}
    return {name: value_text(value) for name, value in negate(kept).items()}


def _number(headers: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = headers.get(name)
    if text is None:
        return 0
    number = parse_number(text.strip())
    if number is None or not low <= number <= high:
        raise PreconditionFailedError(f"invalid {name} '{text:.50}': expected {low} to {high}")
    return number
