from typing import Any

import pytest

from gateway.delays.schedules import (
    Schedule,
    find_exchange_delay,
    find_schedule,
    negate,
    parse_number,
)
from gateway.errors import PreconditionFailedError


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), (-5, -5), (1.9, 1), (-1.9, -1), ("7", 7), ("-7", -7), (True, None), ("", None),
     ("1.5", None), ("+1", None), (" 1", None), ("\u0661", None), ("9" * 20, None), (b"1", None),
     (float("nan"), None), (float("inf"), None), (None, None), ([1], None), ({}, None)],
)  # fmt: skip
def test_what_is_a_number(value: Any, number: int | None) -> None:
    assert parse_number(value) == number


@pytest.mark.parametrize(
    ("headers", "schedule"),
    [
        ({}, None),
        ({"x-delay": 5}, None),
        ({"x-rosetta-delay": 5}, Schedule(5)),
        ({"x-rosetta-delay": 0}, None),
        ({"x-rosetta-delay": "-5", "x-rosetta-deliver-at": 9}, None),
        ({"x-rosetta-deliver-at": "9"}, Schedule(at_ms=9)),
    ],
)
def test_what_our_headers_ask_for(headers: Any, schedule: Schedule | None) -> None:
    assert find_schedule(headers) == schedule


@pytest.mark.parametrize(
    "headers",
    [{"x-rosetta-delay": 10**12}, {"x-rosetta-delay": None}, {"x-rosetta-deliver-at": 1 << 62}],
)
def test_what_they_cannot(headers: Any) -> None:
    with pytest.raises(PreconditionFailedError, match="expected"):
        find_schedule(headers)


def test_the_delay_of_an_exchange_has_the_limits_of_the_plugin() -> None:
    assert find_exchange_delay({"x-delay": 4_294_967_295}) == Schedule(4_294_967_295)
    assert find_exchange_delay({"x-delay": 4_294_967_296}) is None
    assert find_exchange_delay({"x-delay": -1}) is None
    assert find_exchange_delay({}) is None


def test_negated_once() -> None:
    once = negate({"x-delay": "5", "x-rosetta-delay": 7, "x-rosetta-deliver-at": 9, "a": 1})
    assert once == {"x-delay": "-5", "x-rosetta-delay": -7, "x-rosetta-deliver-at": 9, "a": 1}
    assert negate(once) == once


def test_the_first_time() -> None:
    assert Schedule(5).first_ms(100) == 105
    assert Schedule(at_ms=7).first_ms(100) == 7
