"""RocketMQ's grammar, and what it makes of texts and of NULL."""

from __future__ import annotations

import pytest

from core.errors import SelectorError
from core.filters.selector import Dialect, parse_selector

FOUND = {"a": "5", "b": "abc", "c": "1.5", "t": "True", "large": "3000000000", "TAGS": "x"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("a > 3", True),
        ("a > 3 -- a comment", True),
        ("a /* five */ = 5L", True),
        ("a = 5 AND b = 'abc' OR FALSE", True),
        ("a BETWEEN 1 AND 5", True),
        ("a NOT BETWEEN 1 AND 4", True),
        ("b IN ('abc', 'd')", True),
        ("b NOT IN ('d')", True),
        ("a IS NOT NULL AND missing IS NULL", True),
        # Equality and NULL.
        ("missing <> 'a'", False),
        ("'a' <> missing", True),
        ("missing = other", True),
        ("missing NOT IN ('a')", False),
        # A text that is no such number ends it all.
        ("c > 1", False),
        ("c > 1.0", True),
        ("b = 1 OR TRUE", False),
        ("TRUE OR b = 1", True),
        ("large > 1", False),
        ("large > 3000000000 - 1", None),
        ("large > 2999999999", True),
        ("a > c", True),
        ("a > b", False),
        # Booleans.
        ("t = TRUE", True),
        ("TRUE = t", False),
        ("t", False),
        ("NOT t", True),
        ("NOT missing", False),
        # NOT binds tightest, `=` looser than `<`.
        ("NOT a = 1", False),
        ("NOT (a = 1)", True),
        ("TRUE = a < 9", True),
        # Parts of a text.
        ("b CONTAINS 'b'", True),
        ("b STARTSWITH 'ab' AND b ENDSWITH 'bc'", True),
        ("b NOT CONTAINS 'x'", True),
        ("missing CONTAINS 'x'", False),
        ("missing NOT CONTAINS 'x'", False),
        ("b NOT CONTAINS ''", False),
        ("-a < 0", False),
        ("b LIKE 'a'", None),
        ("a + 1 = 6", None),
        ("a = NULL", None),
        ("a > 'b'", None),
        ("a BETWEEN 5 AND 1", None),
        ("a > 0.0", None),
        ("'x' IN ('x')", None),
        ("a-b = 1", None),
    ],
)
def test_selects_or_is_refused(text: str, selects: bool | None) -> None:
    if selects is None:
        with pytest.raises(SelectorError):
            parse_selector(text, Dialect.ROCKETMQ)
    else:
        assert parse_selector(text, Dialect.ROCKETMQ).matches(FOUND.get) is selects
