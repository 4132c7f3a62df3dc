"""Times by the rules of crontab(5): minute, hour, day of month, month, day of week, in UTC.

Each field is `*`, a number, a range `a-b`, a list `a,b` or a step `*/n` or `a-b/n`; months and days
of the week may be names of three letters, and Sunday is 0 or 7. If both days are restricted, either
is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_YEARS_AHEAD = 8  # A 29th of February comes within so many years, whatever the century.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression of five fields, as sets of numbers."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read an expression. Raises `ValueError`, which says what is wrong."""
        fields = text.lower().split()
        if len(fields) != 5:
            raise ValueError(f"'{text}' has {len(fields)} fields, not 5")
        weekdays = _parse_field(fields[4], 0, 7, _WEEKDAYS)
        cron = cls(
            text,
            _parse_field(fields[0], 0, 59),
            _parse_field(fields[1], 0, 23),
            _parse_field(fields[2], 1, 31),
            _parse_field(fields[3], 1, 12, ("", *_MONTHS)),
            frozenset(day % 7 for day in weekdays),
        )
        if cron._next(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise ValueError(f"'{text}' names no day that there is")
        return cron

    def next_ms(self, after_ms: int) -> int:
        """The first time behind this one, both in ms since 1970."""
        found = self._next(datetime.fromtimestamp(after_ms // 1000, UTC))
        assert found is not None, "parse has made sure that there is one"
        return int(found.timestamp()) * 1000

    def _next(self, after: datetime) -> datetime | None:
        at = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = after + timedelta(days=366 * _YEARS_AHEAD)
        while at < end:
            if at.month not in self.months:
                at = (at.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._is_day(at):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _is_day(self, at: datetime) -> bool:
        is_day = at.day in self.days
        is_weekday = at.isoweekday() % 7 in self.weekdays
        if len(self.days) < 31 and len(self.weekdays) < 7:
            return is_day or is_weekday
        return is_day and is_weekday


def _parse_field(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        bounds, _, step_text = part.partition("/")
        first_text, dash, last_text = bounds.partition("-")
        step = _parse_number(step_text, 1, high, ()) if step_text else 1
        if bounds == "*":
            first, last = low, high
        else:
            first = _parse_number(first_text, low, high, names)
            last = _parse_number(last_text, low, high, names) if dash else first
            if step_text and not dash:
                last = high
        if first > last or part.endswith("/"):
            raise ValueError(f"'{part}' is no range of {low} to {high}")
        numbers.update(range(first, last + 1, step))
    return frozenset(numbers)


def _parse_number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text and text in names:
        return names.index(text)
    if not (text.isascii() and text.isdigit() and len(text) < 3) or not low <= int(text) <= high:
        raise ValueError(f"'{text}' is no number of {low} to {high}")
    return int(text)
