"""Syntax -> a function of a message's properties, as closures.

Three-valued logic: None is NULL and unknown. What cannot be computed, such as the sum of a text
and a number, is unknown; unlike values are neither equal nor in any order.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from core.filters.patterns import compile_pattern
from core.filters.syntax import (
    Arithmetic,
    Between,
    Comparison,
    Expression,
    In,
    IsNull,
    Junction,
    Like,
    Literal,
    Name,
    Not,
    Part,
    Sign,
    Value,
)

# Returns a property by its name, None if there is none.
Lookup: TypeAlias = Callable[[str], object]
Evaluate: TypeAlias = Callable[[Lookup], Value]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_BOOLEANS = {"true": True, "false": False}

_Number: TypeAlias = "int | float"
_ORDERS: dict[str, Callable[[_Number, _Number], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Semantics:
    """What the languages that select do not agree upon."""

    converts_text: bool = False  # Is a text a number, or a boolean, where one is wanted?
    unlike_differ: bool = False  # Is `<>` true of values that cannot be compared?
    divides_exactly: bool = False  # Is 1 / 2 a half, and not 0 as in Java?


class Evaluator:
    """Compiles the parts of one selector."""

    def __init__(self, semantics: Semantics) -> None:
        self._semantics = semantics

    def condition(self, expression: Expression) -> Evaluate:
        """A function that returns True, False, or None for unknown."""
        if isinstance(expression, Name):
            return self._condition_of_name(expression)
        return self.value(expression)

    def value(self, expression: Expression) -> Evaluate:
        """A function that returns what the expression stands for."""
        match expression:
            case Literal(value):
                return lambda lookup: value
            case Name(name):
                return _name(name)
            case Junction():
                conditions = tuple(map(self.condition, expression.operands))
                return all_of(conditions) if expression.operator == "AND" else any_of(conditions)
            case Not(operand):
                return _not(self.condition(operand))
            case Sign(sign, operand):
                return self._arithmetic(Arithmetic(sign, Literal(0), operand))
            case Arithmetic():
                return self._arithmetic(expression)
            case Comparison():
                return self._comparison(expression)
            case Between():
                return self._between(expression)
            case _:
                return self._test(expression)

    def _test(self, test: In | Like | Part | IsNull) -> Evaluate:
        """What is asked of one property alone."""
        operand = self.value(test.operand)
        match test:
            case In(_, texts):
                return _of_text(operand, frozenset(texts).__contains__, test.negated)
            case Like(_, pattern, escape):
                return _of_text(operand, compile_pattern(pattern, escape), test.negated)
            case Part():
                return _part(operand, test)
            case IsNull(_, negated):
                return lambda lookup: (operand(lookup) is None) is not negated

    def _condition_of_name(self, name: Name) -> Evaluate:
        value = _name(name.name)
        convert = _BOOLEANS.get if self._semantics.converts_text else _no_boolean

        def evaluate(lookup: Lookup) -> Value:
            found = value(lookup)
            if isinstance(found, bool):
                return found
            return convert(found) if isinstance(found, str) else None

        return evaluate

    def _comparison(self, comparison: Comparison) -> Evaluate:
        left, right = self.value(comparison.left), self.value(comparison.right)
        if comparison.operator == "=":
            return self._equality(left, right, True)
        if comparison.operator == "<>":
            return self._equality(left, right, False)
        return self._order(left, right, _ORDERS[comparison.operator])

    def _equality(self, left: Evaluate, right: Evaluate, wanted: bool) -> Evaluate:
        alike = self._alike
        for_unlike = self._semantics.unlike_differ and not wanted

        def evaluate(lookup: Lookup) -> Value:
            x, y = left(lookup), right(lookup)
            if type(x) is type(y) and x is not None:
                return (x == y) is wanted
            if x is None or y is None:
                return None
            pair = alike(x, y)
            return for_unlike if pair is None else (pair[0] == pair[1]) is wanted

        return evaluate

    def _order(
        self, left: Evaluate, right: Evaluate, fits: Callable[[_Number, _Number], bool]
    ) -> Evaluate:
        number = self._number

        def evaluate(lookup: Lookup) -> Value:
            x, y = left(lookup), right(lookup)
            if x is None or y is None:
                return None
            x, y = number(x), number(y)
            return x is not None and y is not None and fits(x, y)

        return evaluate

    def _between(self, between: Between) -> Evaluate:
        operand, low, high = map(self.value, (between.operand, between.low, between.high))
        above = self._order(operand, low, operator.ge)
        below = self._order(operand, high, operator.le)
        both = all_of((above, below))
        if not between.negated:
            return both
        number = self._number
        is_outside = _not(both)

        def evaluate(lookup: Lookup) -> Value:
            value = operand(lookup)
            if value is not None and number(value) is None:
                return False  # What is no number is neither within limits nor outside.
            return is_outside(lookup)

        return evaluate

    def _arithmetic(self, arithmetic: Arithmetic) -> Evaluate:
        left, right = self.value(arithmetic.left), self.value(arithmetic.right)
        number = self._number
        divide = _divide_exactly if self._semantics.divides_exactly else _divide
        compute: Callable[[_Number, _Number], _Number] = {
            "+": operator.add,
            "-": operator.sub,
            "*": operator.mul,
            "/": divide,
        }[arithmetic.operator]

        def evaluate(lookup: Lookup) -> Value:
            x, y = left(lookup), right(lookup)
            x, y = number(x), number(y)
            if x is None or y is None:
                return None
            try:
                return compute(x, y)
            except (ZeroDivisionError, OverflowError):
                return None

        return evaluate

    def _number(self, value: Value) -> _Number | None:
        """The value as a number; None if it is none."""
        if isinstance(value, int | float):
            return None if isinstance(value, bool) else value
        if self._semantics.converts_text and isinstance(value, str):
            return parse_number(value)
        return None

    def _alike(self, x: Value, y: Value) -> tuple[Value, Value] | None:
        """Two values of different types as values of one type, if they can be."""
        if isinstance(x, bool) or isinstance(y, bool):
            if not self._semantics.converts_text:
                return None
            x = _BOOLEANS.get(x) if isinstance(x, str) else x
            y = _BOOLEANS.get(y) if isinstance(y, str) else y
            return (x, y) if isinstance(x, bool) and isinstance(y, bool) else None
        if isinstance(x, str) and isinstance(y, str):
            return x, y
        x, y = self._number(x), self._number(y)
        return None if x is None or y is None else (x, y)


def parse_number(text: str) -> _Number | None:
    """A number that is written as text; None if it is none."""
    if len(text) > 40:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else None


def _no_boolean(text: str) -> None:
    return None


def _name(name: str) -> Evaluate:
    def evaluate(lookup: Lookup) -> Value:
        value = lookup(name)
        return value if isinstance(value, str | int | float) else None

    return evaluate


def all_of(conditions: tuple[Evaluate, ...]) -> Evaluate:
    """AND: one that is false decides, then one that is unknown."""
    return _decided_by(False, conditions)


def any_of(conditions: tuple[Evaluate, ...]) -> Evaluate:
    """OR: one that is true decides, then one that is unknown."""
    return _decided_by(True, conditions)


def _decided_by(decisive: bool, conditions: tuple[Evaluate, ...]) -> Evaluate:
    other = not decisive

    def evaluate(lookup: Lookup) -> Value:
        result: Value = other
        for condition in conditions:
            value = condition(lookup)
            if value is decisive:
                return decisive
            if value is not other:
                result = None
        return result

    return evaluate


def _not(condition: Evaluate) -> Evaluate:
    def evaluate(lookup: Lookup) -> Value:
        value = condition(lookup)
        return not value if isinstance(value, bool) else None

    return evaluate


def _of_text(operand: Evaluate, fits: Callable[[str], bool], negated: bool) -> Evaluate:
    """What is no text is neither like a pattern nor unlike it."""
    wanted = not negated

    def evaluate(lookup: Lookup) -> Value:
        value = operand(lookup)
        return fits(value) is wanted if isinstance(value, str) else None

    return evaluate


_PARTS: dict[str, Callable[[str, str], bool]] = {
    "CONTAINS": str.__contains__,
    "STARTSWITH": str.startswith,
    "ENDSWITH": str.endswith,
}


def _part(operand: Evaluate, part: Part) -> Evaluate:
    """As RocketMQ has it: without a text to look in, or to look for, false and never unknown."""
    fits, text, wanted = _PARTS[part.operator], part.text, not part.negated

    def evaluate(lookup: Lookup) -> Value:
        value = operand(lookup)
        return isinstance(value, str) and text != "" and fits(value, text) is wanted

    return evaluate


def _divide(x: _Number, y: _Number) -> _Number:
    """As Java divides: towards zero if both are whole numbers."""
    if isinstance(x, int) and isinstance(y, int):
        quotient = abs(x) // abs(y)
        return quotient if (x < 0) is (y < 0) else -quotient
    return _divide_exactly(x, y)


def _divide_exactly(x: _Number, y: _Number) -> _Number:
    if y == 0:
        return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x)
    return x / y
