"""What RocketMQ makes of a selector, where every property is a text.

A text that is compared with a literal is read as that literal's type. If it cannot be, RocketMQ
gives up on the whole selector, and so do we: `ValueError` leaves the evaluation. NULL is equal to
NULL, and differs from what is not, if it stands on the right.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TypeAlias

from core.filters.evaluator import (
    Evaluate,
    Evaluator,
    Lookup,
    Semantics,
    all_of,
    any_of,
    parse_number,
)
from core.filters.syntax import Between, Comparison, Expression, Name, Value

_Number: TypeAlias = "int | float"
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_ORDERS: dict[str, Callable[[_Number, _Number], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class RocketMqEvaluator(Evaluator):
    """Compiles the parts of one selector."""

    def __init__(self) -> None:
        super().__init__(Semantics())

    def condition(self, expression: Expression) -> Evaluate:
        """As the base class; a property alone is a text, and so never true."""
        value = self.value(expression)
        if not isinstance(expression, Name):
            return value

        def evaluate(lookup: Lookup) -> Value:
            found = value(lookup)
            return None if found is None else found is True

        return evaluate

    def _comparison(self, comparison: Comparison) -> Evaluate:
        left, right = self.value(comparison.left), self.value(comparison.right)
        if comparison.operator in ("=", "<>"):
            return _equality(left, right, comparison.operator == "=")
        return _order(left, right, _ORDERS[comparison.operator])

    def _between(self, between: Between) -> Evaluate:
        operand, low, high = map(self.value, (between.operand, between.low, between.high))
        if between.negated:
            return any_of((_order(operand, low, operator.lt), _order(operand, high, operator.gt)))
        return all_of((_order(operand, low, operator.ge), _order(operand, high, operator.le)))


def _equality(left: Evaluate, right: Evaluate, wanted: bool) -> Evaluate:
    def evaluate(lookup: Lookup) -> Value:
        x, y = left(lookup), right(lookup)
        if x is None:
            return wanted if y is None else None
        if y is None:
            return not wanted
        x, y = _alike(x, y)
        return (isinstance(x, bool) is isinstance(y, bool) and x == y) is wanted

    return evaluate


def _order(left: Evaluate, right: Evaluate, fits: Callable[[_Number, _Number], bool]) -> Evaluate:
    def evaluate(lookup: Lookup) -> Value:
        x, y = left(lookup), right(lookup)
        if x is None or y is None:
            return None
        if isinstance(x, str) and isinstance(y, str):
            return fits(_double(x), _double(y))
        x, y = _alike(x, y)
        if isinstance(x, int | float) and isinstance(y, int | float):
            return fits(x, y)
        return False

    return evaluate


def _alike(x: Value, y: Value) -> tuple[Value, Value]:
    """A text and another value as values of that one's type. Raises `ValueError`."""
    if isinstance(x, str) and not isinstance(y, str):
        if isinstance(y, bool):
            return x.lower() == "true", y
        return _parse_as(y, x), y
    if isinstance(y, str) and not isinstance(x, str):
        if isinstance(x, bool):
            raise ValueError("a boolean on the left is never compared with a text")
        return x, _parse_as(x, y)
    return x, y


def _parse_as(other: Value, text: str) -> _Number:
    """As Java's `Integer`, `Long` or `Double` reads it."""
    if isinstance(other, float):
        return _double(text)
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    number = int(text)
    bits = 31 if isinstance(other, int) and -(1 << 31) <= other < 1 << 31 else 63
    if not -(1 << bits) <= number < 1 << bits:
        raise ValueError(f"{text} has more than {bits + 1} bits")
    return number


def _double(text: str) -> float:
    number = parse_number(text.strip())
    if number is None:
        raise ValueError(f"{text!r} is not a number")
    return float(number)
