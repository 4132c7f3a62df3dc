"""The parts of a selector, as values; `str` of one is text that parses to an equal one.

Positions are those of the text that was parsed, for errors; they are no part of what is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

# What a property may be; None is SQL's NULL, and the unknown of its three-valued logic.
Value: TypeAlias = "bool | int | float | str | None"

_PLAIN_NAME = re.compile(r"(?:[^\W\d]|\$)(?:\w|\$)*")

# The words of all dialects: none of them is printed as a name without quotes.
WORDS = frozenset(
    (
        *("AND", "BETWEEN", "CONTAINS", "ENDSWITH", "ESCAPE", "FALSE", "IN"),
        *("IS", "LIKE", "NOT", "NULL", "OR", "STARTSWITH", "TRUE"),
    )
)


def _position() -> int:
    return field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written down; NULL is one only for RocketMQ."""

    value: Value
    position: int = _position()

    def __str__(self) -> str:
        value = self.value
        if isinstance(value, str):
            return quote(value)
        if value is None or isinstance(value, bool):
            return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
        return repr(value)


@dataclass(frozen=True, slots=True)
class Name:
    """A property."""

    name: str
    position: int = _position()

    def __str__(self) -> str:
        if _PLAIN_NAME.fullmatch(self.name) and self.name.upper() not in WORDS:
            return self.name
        return '"' + self.name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Junction:
    """Operands joined by AND, or by OR; none of them is joined by the same word itself."""

    operator: str
    operands: tuple[Expression, ...]
    position: int = _position()

    def __str__(self) -> str:
        return f" {self.operator} ".join(map(_enclosed, self.operands))


@dataclass(frozen=True, slots=True)
class Not:
    """A condition that must not be true."""

    operand: Expression
    position: int = _position()

    def __str__(self) -> str:
        return f"NOT {_enclosed(self.operand)}"


@dataclass(frozen=True, slots=True)
class Sign:
    """`+` or `-` before an operand; but a number with its sign is a literal."""

    operator: str
    operand: Expression
    position: int = _position()

    def __str__(self) -> str:
        operand = self.operand
        return self.operator + (str(operand) if isinstance(operand, Name) else f"({operand})")


@dataclass(frozen=True, slots=True)
class Infix:
    """An operator between two operands."""

    operator: str
    left: Expression
    right: Expression
    position: int = _position()

    def __str__(self) -> str:
        return f"{_enclosed(self.left)} {self.operator} {_enclosed(self.right)}"


class Comparison(Infix):
    """`=`, `<>`, `<`, `<=`, `>` or `>=`."""

    __slots__ = ()


class Arithmetic(Infix):
    """`+`, `-`, `*` or `/`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Between:
    """Within two limits, or not."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool
    position: int = _position()

    def __str__(self) -> str:
        limits = f"BETWEEN {_enclosed(self.low)} AND {_enclosed(self.high)}"
        return f"{_enclosed(self.operand)} {_not(self.negated)}{limits}"


@dataclass(frozen=True, slots=True)
class In:
    """One of some texts, or none of them."""

    operand: Expression
    texts: tuple[str, ...]
    negated: bool
    position: int = _position()

    def __str__(self) -> str:
        texts = ", ".join(map(quote, self.texts))
        return f"{_enclosed(self.operand)} {_not(self.negated)}IN ({texts})"


@dataclass(frozen=True, slots=True)
class Like:
    """Fits a pattern of `%` and `_`, or not."""

    operand: Expression
    pattern: str
    escape: str | None
    negated: bool
    position: int = _position()

    def __str__(self) -> str:
        escape = "" if self.escape is None else f" ESCAPE {quote(self.escape)}"
        pattern = quote(self.pattern) + escape
        return f"{_enclosed(self.operand)} {_not(self.negated)}LIKE {pattern}"


@dataclass(frozen=True, slots=True)
class Part:
    """CONTAINS, STARTSWITH or ENDSWITH a text, or not."""

    operator: str
    operand: Expression
    text: str
    negated: bool
    position: int = _position()

    def __str__(self) -> str:
        return f"{_enclosed(self.operand)} {_not(self.negated)}{self.operator} {quote(self.text)}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """Absent, or not."""

    operand: Expression
    negated: bool
    position: int = _position()

    def __str__(self) -> str:
        return f"{_enclosed(self.operand)} IS {_not(self.negated)}NULL"


Expression: TypeAlias = (
    "Literal | Name | Junction | Not | Sign | Comparison | Arithmetic | Between | In | Like | Part"
    " | IsNull"
)


def join(operator: str, operands: list[Expression], position: int = 0) -> Expression:
    """Operands joined by AND or OR; long chains become wide, never deep."""
    flat: list[Expression] = []
    for operand in operands:
        if isinstance(operand, Junction) and operand.operator == operator:
            flat += operand.operands
        else:
            flat.append(operand)
    return Junction(operator, tuple(flat), position)


def children(expression: Expression) -> tuple[Expression, ...]:
    """What an expression is made of."""
    match expression:
        case Junction():
            return expression.operands
        case Infix():
            return expression.left, expression.right
        case Between():
            return expression.operand, expression.low, expression.high
        case Literal() | Name():
            return ()
        case _:
            return (expression.operand,)


def walk(expression: Expression) -> Iterator[tuple[Expression, int]]:
    """An expression and all within it, each with its depth; without recursion."""
    pending = [(expression, 1)]
    while pending:
        current, depth = pending.pop()
        yield current, depth
        pending += [(child, depth + 1) for child in children(current)]


def quote(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _enclosed(expression: Expression) -> str:
    if isinstance(expression, Literal | Name):
        return str(expression)
    return f"({expression})"


def _not(negated: bool) -> str:
    return "NOT " if negated else ""
