"""LIKE against regular expressions, and within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.filters.patterns import compile_pattern
from tests.core.filters.expressions import regular


@pytest.mark.parametrize(
    ("pattern", "escape", "fitting", "unfit"),
    [
        ("", None, [""], ["a"]),
        ("%", None, ["", "a", "a\nb"], []),
        ("a_c", None, ["abc", "a\nc", "aéc"], ["ac", "abbc", "abcd"]),
        ("12%3", None, ["123", "12993"], ["1234", "13"]),
        ("a%a", None, ["aa", "aba"], ["a"]),
        ("%.%", None, [".", "a.b"], ["ab"]),
        (r"\_%", "\\", ["_", "_a"], ["a", ""]),
        ("a!%", "!", ["a%"], ["a!", "ab"]),
        ("a!", "!", ["a!"], ["a"]),
    ],
)
def test_patterns(pattern: str, escape: str | None, fitting: list[str], unfit: list[str]) -> None:
    fits = compile_pattern(pattern, escape)
    assert all(map(fits, fitting))
    assert not any(map(fits, unfit))


@given(st.text("ab%_\\", max_size=8), st.text("ab_%\\\n", max_size=12))
def test_patterns_are_what_aregular_expression_says(pattern: str, text: str) -> None:
    expected = regular(pattern, "\\").fullmatch(text) is not None
    assert compile_pattern(pattern, "\\")(text) is expected


def test_many_wildcards_do_not_take_for_ever() -> None:
    assert not compile_pattern("%a" * 50 + "%b", None)("a" * 100_000)
