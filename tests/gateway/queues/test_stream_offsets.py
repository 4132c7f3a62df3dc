from __future__ import annotations

import pytest

from gateway.queues.stream_offsets import Since, parse_age_ms, parse_stream_offset
from gateway.values import Long, Timestamp


@pytest.mark.parametrize(
    ("text", "age_ms"),
    [
        ("1s", 1000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("7D", 604_800_000),
        ("1M", 2_592_000_000),
        ("1Y", 31_536_000_000),
        ("0s", None),
        ("-1D", None),
        ("", None),
        ("D", None),
        ("5", None),
        ("1Y2M", None),
        ("1d", None),
        ("٣D", None),
        ("9" * 99 + "s", None),
    ],
)
def test_an_age_is_one_number_and_one_unit(text: str, age_ms: int | None) -> None:
    assert parse_age_ms(text) == age_ms


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("first", "first"),
        ("last", "last"),
        ("next", "next"),
        (b"first", "first"),
        ("1h", Since(6_400_000)),
        (Timestamp(5), Since(5000)),
        (7, 7),
        (Long(-1), -1),
        ("foo", None),
        ("7", None),
        (True, None),
        (1.5, None),
        (None, None),
    ],
)
def test_where_a_consumer_begins(value: object, start: object) -> None:
    assert parse_stream_offset(value, 10_000_000) == start
