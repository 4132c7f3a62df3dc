"""Any selector, and a slow, obvious way to evaluate one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from hypothesis import strategies as st

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
    join,
)

NAMES = ("a", "b", "$c", "_d1", "größe", "content-type", "in", 'a"b')
_small = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.0])
texts = st.text("ab'%_\\ é\n0.", max_size=4)
names = st.sampled_from(NAMES).map(Name)
values: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), _small, texts, st.sampled_from(["1", "true", "0.5", "-3"])
)
properties = st.dictionaries(st.sampled_from(NAMES), values)
_likes = st.builds(Like, names, texts, st.none() | st.sampled_from(["\\", "a"]), st.booleans())
_ins = st.builds(In, names, st.lists(texts, min_size=1, max_size=3).map(tuple), st.booleans())
_nulls = st.builds(IsNull, names, st.booleans())
_parts = st.builds(
    Part, st.sampled_from(["CONTAINS", "STARTSWITH", "ENDSWITH"]), names, texts, st.booleans()
)
_ORDERS = ("<", "<=", ">", ">=")


def _literals(numbers: st.SearchStrategy[int | float]) -> st.SearchStrategy[Expression]:
    return numbers.map(Literal)


def _sums(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(Arithmetic, st.sampled_from("+-*/"), inner, inner) | st.builds(
        Sign, st.sampled_from("+-"), inner
    )


def standard(numbers: st.SearchStrategy[int | float] = _small) -> st.SearchStrategy[Expression]:
    """Conditions of the standard grammar, as the parser would make them."""
    sums = st.recursive(names | _literals(numbers), _sums, max_leaves=4)
    operands = sums | texts.map(Literal) | st.booleans().map(Literal)
    comparisons = st.builds(Comparison, st.sampled_from(["=", "<>"]), operands, operands)
    orders = st.builds(Comparison, st.sampled_from(_ORDERS), sums, sums)
    ranges = st.builds(Between, sums, sums, sums, st.booleans())
    tests = comparisons | orders | ranges | _likes | _ins | _nulls | names
    return st.recursive(tests | st.booleans().map(Literal), _joined, max_leaves=6)


def numeric() -> st.SearchStrategy[Expression]:
    """Conditions of the standard grammar in which no text stands."""
    sums = st.recursive(names | _literals(_small), _sums, max_leaves=4)
    orders = st.builds(Comparison, st.sampled_from(_ORDERS), sums, sums)
    ranges = st.builds(Between, sums, sums, sums, st.booleans())
    return st.recursive(orders | ranges | _nulls | names, _joined, max_leaves=6)


def rocketmq() -> st.SearchStrategy[Expression]:
    """Conditions of RocketMQ's grammar."""
    numbers = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0.5, 2.5e300])
    operands = names | texts.map(Literal) | st.booleans().map(Literal) | numbers.map(Literal)
    comparisons = st.builds(Comparison, st.sampled_from(["=", "<>"]), operands, operands)
    limits = names | numbers.map(Literal)
    orders = st.builds(Comparison, st.sampled_from(_ORDERS), limits, limits)
    ranges = st.builds(Between, names, names, limits, st.booleans())
    return st.recursive(comparisons | orders | ranges | _ins | _nulls | _parts | names, _joined)


def _joined(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.builds(join, st.sampled_from(["AND", "OR"]), several) | st.builds(Not, inner)


# The obvious evaluation, of the standard grammar over typed properties


def model(expression: Expression, properties: Mapping[str, Value]) -> Value:
    """What the expression stands for: by the words of the specification, one after the other."""
    match expression:
        case Literal(value):
            return value
        case Name(name):
            return properties.get(name)
        case Junction() | Not():
            return _logic(expression, properties)
        case Sign(sign, operand):
            return _compute(sign, 0, model(operand, properties))
        case Arithmetic(operator, left, right):
            return _compute(operator, model(left, properties), model(right, properties))
        case Comparison(operator, left, right):
            return _compare(operator, model(left, properties), model(right, properties))
        case Between():
            return _within(expression, properties)
        case _:
            return _test(expression, model(expression.operand, properties))


def _logic(expression: Junction | Not, properties: Mapping[str, Value]) -> Value:
    if isinstance(expression, Not):
        return _negate(_truth(model(expression.operand, properties)))
    results = [_truth(model(operand, properties)) for operand in expression.operands]
    decisive = expression.operator == "OR"
    if decisive in results:
        return decisive
    return None if None in results else not decisive


def _within(between: Between, properties: Mapping[str, Value]) -> Value:
    operand = between.operand
    value = model(operand, properties)
    if between.negated and value is not None and not _is_number(value):
        return False
    low, high = Comparison(">=", operand, between.low), Comparison("<=", operand, between.high)
    within = model(join("AND", [low, high]), properties)
    return _negate(within) if between.negated else within


def _test(test: In | Like | IsNull | Part, value: Value) -> Value:
    if isinstance(test, IsNull):
        return (value is None) is not test.negated
    if not isinstance(value, str):
        return None
    if isinstance(test, In):
        return (value in test.texts) is not test.negated
    assert isinstance(test, Like)
    return (regular(test.pattern, test.escape).fullmatch(value) is not None) is not test.negated


def _truth(value: Value) -> bool | None:
    return value if isinstance(value, bool) else None


def _negate(value: Value) -> Value:
    return None if value is None else not value


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compute(operator: str, x: Value, y: Value) -> Value:
    if not (_is_number(x) and _is_number(y)):
        return None
    if operator == "/":
        if y == 0:
            if isinstance(x, int) and isinstance(y, int):
                return None
            return math.nan if x == 0 or x != x else math.copysign(math.inf, x)
        if isinstance(x, int) and isinstance(y, int):
            quotient = abs(x) // abs(y)
            return quotient if (x < 0) == (y < 0) else -quotient
    return {"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: x / y}[
        operator
    ]()


def _compare(operator: str, x: Value, y: Value) -> Value:
    if x is None or y is None:
        return None
    numbers = _is_number(x) and _is_number(y)
    if operator in ("=", "<>"):
        if not numbers and type(x) is not type(y):
            return False
        return (x == y) is (operator == "=")
    if not numbers:
        return False
    return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[operator]


def regular(pattern: str, escape: str | None) -> re.Pattern[str]:
    """The pattern of a LIKE as a regular expression."""
    written = ""
    rest = list(pattern)
    while rest:
        character = rest.pop(0)
        if character == escape:
            written += re.escape(rest.pop(0) if rest else character)
        else:
            written += {"%": ".*", "_": "."}.get(character, re.escape(character))
    return re.compile(written, re.DOTALL)
