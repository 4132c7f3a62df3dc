"""Selectors as they are written, by the examples of the specifications."""

from __future__ import annotations

import pytest

from core.errors import SelectorError
from core.filters.parser import DEPTH_MAX
from core.filters.selector import Dialect, parse_selector

ORDER: dict[str, object] = {
    "Country": "UK",
    "age": 17,
    "weight": 72.5,
    "phone": "12993",
    "word": "lose",
    "underscored": "_x",
    "urgent": True,
    "list": [1],
    "content-type": "text/plain",
}

TRUE = """
Country = 'UK'
Country IN ('UK', 'US')
country IS NULL
NOT Country = 'France'
age BETWEEN 15 AND 19
age >= 15 AND age <= 19
age NOT BETWEEN 18 AND 19
phone LIKE '12%3'
word like 'l_se'
underscored LIKE '\\_%' ESCAPE '\\'
phone NOT LIKE '%4'
urgent
urgent = TRUE AND NOT FALSE
age = 17.0 AND 17 = age
age * 2 + 1 = 35 and age + 1 * 2 = 19
age / 2 = 8
-age < -16.5
weight / 2 = 36.25
age - 1 - 1 = 15
0x11 = age OR FALSE
021 = age
age < 7E3 AND age > .5 AND age < 1.7E1d + 1L
missing IS NULL OR missing = 1
"content-type" LIKE 'text/%'
list IS NULL
Country <> 'it''s'
age = 17 AND NOT (weight < 1 OR Country = 'US')
-9223372036854775808 < age
""".strip().splitlines()

FALSE_OR_UNKNOWN = """
missing = 1
NOT missing = 1
missing <> 1
missing NOT IN ('a')
missing NOT LIKE 'a'
missing NOT BETWEEN 1 AND 2
missing + 1 > 0
missing > 0 AND urgent
age = '17'
age <> '17'
Country
age / 0 = 1
Country > 1
Country NOT BETWEEN 1 AND 2
urgent = 1
Country + 1 = 1
age NOT IN ('a')
age NOT LIKE 'a'
NOT urgent
""".strip().splitlines()


@pytest.mark.parametrize("text", TRUE)
def test_selects(text: str) -> None:
    assert parse_selector(text).matches(ORDER.get)


@pytest.mark.parametrize("text", FALSE_OR_UNKNOWN)
def test_does_not_select(text: str) -> None:
    assert not parse_selector(text).matches(ORDER.get)


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("", "expected a value, but the selector ends", 0),
        ("a =", "expected a value, but the selector ends", 3),
        ("a = 'x", "a text without its closing ' begins", 4),
        ("a = 1 b", "expected AND, OR or the end, but found b", 6),
        ("(a = 1", "expected a ), but the selector ends", 6),
        ("a ! b", "'!' means nothing", 2),
        ("a IN ()", "expected a text in quotes, but found )", 6),
        ("a IN ('x' 'y')", "expected a , or a ), but found 'y'", 10),
        ("a IN (1)", "expected a text in quotes, but found 1", 6),
        ("a LIKE 1", "expected a text in quotes, but found 1", 7),
        ("a LIKE 'x' ESCAPE 'xx'", "ESCAPE wants one character", 18),
        ("a BETWEEN 1 OR 2", "expected AND and the upper limit, but found OR", 12),
        ("a IS 1", "expected NULL, but found 1", 5),
        ("a = NULL", "NULL may only follow IS", 4),
        ("(a = 1) IS NULL", "expected a name before IS NULL", 3),
        ("5", "expected a condition, but found a value", 0),
        ("a AND 'x'", "expected a condition, but found a value", 6),
        ("a + 1", "expected a condition, but found a value", 2),
        ("a < 'b'", "expected a number or a name", 4),
        ("TRUE > a", "expected a number or a name", 0),
        ("a = NOT b", "expected a value, but found NOT", 4),
        ("a NOT = 1", "expected AND, OR or the end, but found NOT", 2),
        ("'a' LIKE 'a'", "expected a name before IN, LIKE and their like", 0),
        ("a = 9223372036854775808", "9223372036854775808 is too large a number", 4),
        ("a = 1e999", "1e999 is too large a number", 4),
        ("a = 09", "09 is not a number", 4),
        ("a = 1 -- TRUE b", "expected AND, OR or the end, but found b", 14),
        ("a CONTAINS 'b'", "expected AND, OR or the end, but found CONTAINS", 2),
    ],
)
def test_refusals_say_what_and_where(text: str, reason: str, position: int) -> None:
    with pytest.raises(SelectorError) as raised:
        parse_selector(text)
    assert (raised.value.reason, raised.value.position) == (reason, position)
    assert str(raised.value) == f"{reason} at character {position + 1}"


def test_long_selectors_are_wide_and_never_deep() -> None:
    text = " OR ".join(f"a = {number}" for number in range(1000))
    assert parse_selector(text).matches({"a": 999}.get)
    text = " AND ".join(f"(b = 1 AND a <> {number})" for number in range(1000))
    assert parse_selector(text).matches({"a": -1, "b": 1}.get)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000 + "a",
        "NOT " * 2000 + "a",
        "a = " + "-" * 2000 + "b",
        "a = 1" + " + 1" * 2000,
        "a" + " = a" * 2000,
    ],
)
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(SelectorError, match="nested too deeply"):
        parse_selector(text)


def test_what_is_just_deep_enough_is_evaluated() -> None:
    text = "NOT (" * (DEPTH_MAX // 2 - 2) + "a" + ")" * (DEPTH_MAX // 2 - 2)
    assert parse_selector(text).matches({"a": True}.get)
    with pytest.raises(SelectorError, match="longer than"):
        parse_selector("a" * 40_000)


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("n = 7 AND 7 = n", True),
        ("n > 6.5 AND n * 2 = 14", True),
        ("n BETWEEN 5 AND 8", True),
        ("n = '7'", True),
        ("n <> 8", True),
        ("t = 8", False),
        ("t <> 8", False),
        ("t > 8", False),
        ("flag AND NOT off", True),
        ("flag = TRUE AND off <> TRUE", True),
        ("n < m", True),  # As numbers, not as texts.
        ("f = 0.5 AND f < e", True),
        ("odd = 1", False),
        ("n", False),
        ("flag = 1", False),
    ],
)
def test_texts_are_converted_where_a_number_is_wanted(text: str, selects: bool) -> None:
    found = {"n": "7", "m": "10", "t": "x", "flag": "true", "off": "false", "f": "0.50"}
    found |= {"e": "1e3", "odd": "1_0"}
    assert parse_selector(text, Dialect.TEXTUAL).matches(found.get) is selects
