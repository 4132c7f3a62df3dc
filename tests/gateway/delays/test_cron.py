from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delays.cron import Cron


def following(text: str, after: str) -> str:
    after_ms = int(datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp() * 1000)
    found = Cron.parse(text).next_ms(after_ms)
    return datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", "2026-11-20 12:35:00"),
        ("*/15 * * * *", "2026-11-20 12:45:00"),
        ("0 12 * * *", "2026-11-21 12:00:00"),
        ("30 9-17/4 * * *", "2026-11-20 13:30:00"),
        ("0 0 1 * *", "2026-12-01 00:00:00"),
        ("0 0 1 1 *", "2027-01-01 00:00:00"),
        ("0 8 * * mon", "2026-11-23 08:00:00"),
        ("0 8 * * 7", "2026-11-22 08:00:00"),
        ("0 8 * * 1,3,5", "2026-11-23 08:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 31 * *", "2026-12-31 00:00:00"),
        ("5/20 * * * *", "2026-11-20 12:45:00"),
        ("0 0 13 * fri", "2026-11-27 00:00:00"),  # Either day is enough.
        ("15 10 * DEC *", "2026-12-01 10:15:00"),
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    """Of a Friday."""
    assert following(text, "2026-11-20 12:34:56") == expected


def test_a_time_itself_is_not_its_next() -> None:
    assert following("34 12 * * *", "2026-11-20 12:34:00") == "2026-11-21 12:34:00"


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
     "* * * * 8", "*/0 * * * *", "*/ * * * *", "5-1 * * * *", "a * * * *", "1, * * * *",
     "* * * mon *", "0 0 31 2 *", "-1 * * * *", "\u0661 * * * *"],
)  # fmt: skip
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        Cron.parse(text)


@given(st.text(alphabet="0123456789*/,- jansun", max_size=25))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        cron = Cron.parse(text)
    except ValueError:
        return
    assert cron.next_ms(0) > 0
