"""What a selector must not say although the grammar allows it, so that nobody waits in vain."""

from __future__ import annotations

from core.errors import SelectorError
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
    children,
    walk,
)


def check_standard(expression: Expression) -> None:
    """Raise `SelectorError` for what can never be a condition."""
    _check(expression)
    for part, _ in walk(expression):
        if isinstance(part, Literal) and part.value is None:
            raise SelectorError("NULL may only follow IS", part.position)
        if isinstance(part, IsNull):
            _check_name(part.operand, "IS NULL")


def check_rocketmq(expression: Expression) -> None:
    """Raise `SelectorError` for what RocketMQ refuses."""
    _check(expression)
    for part, _ in walk(expression):
        if isinstance(part, Comparison):
            for side in children(part):
                if isinstance(side, Literal) and side.value is None:
                    raise SelectorError("NULL cannot be compared: write IS NULL", side.position)
        elif isinstance(part, Literal) and part.value == 0 and isinstance(part.value, float):
            raise SelectorError("0.0 is too small a number", part.position)
        elif isinstance(part, Between):
            _check_limits(part)


def _check(expression: Expression) -> None:
    """What both grammars want."""
    _check_condition(expression)
    for part, _ in walk(expression):
        if isinstance(part, Junction | Not):
            for operand in children(part):
                _check_condition(operand)
        elif isinstance(part, In | Like | Part):
            _check_name(part.operand, "IN, LIKE and their like")
        elif isinstance(part, Between | Arithmetic | Sign) or (
            isinstance(part, Comparison) and part.operator not in ("=", "<>")
        ):
            for operand in children(part):
                _check_number(operand)


def _check_condition(part: Expression) -> None:
    is_value = isinstance(part, Literal) and isinstance(part.value, int | float | str)
    if isinstance(part, Arithmetic | Sign) or (is_value and not _is_boolean(part)):
        raise SelectorError("expected a condition, but found a value", part.position)


def _check_number(part: Expression) -> None:
    is_number = isinstance(part, Name | Arithmetic | Sign) or (
        isinstance(part, Literal)
        and isinstance(part.value, int | float)
        and not isinstance(part.value, bool)
    )
    if not is_number:
        raise SelectorError("expected a number or a name", part.position)


def _check_name(part: Expression, before: str) -> None:
    if not isinstance(part, Name):
        raise SelectorError(f"expected a name before {before}", part.position)


def _check_limits(part: Between) -> None:
    low, high = part.low, part.high
    if (
        isinstance(low, Literal)
        and isinstance(high, Literal)
        and isinstance(low.value, int | float)
        and isinstance(high.value, int | float)
        and low.value > high.value
    ):
        raise SelectorError("the lower limit is above the upper one", low.position)


def _is_boolean(part: Expression) -> bool:
    return isinstance(part, Literal) and isinstance(part.value, bool)
