"""A selector that is ready to be asked: does a message with these properties match?"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache

from core.filters.checks import check_rocketmq, check_standard
from core.filters.evaluator import Evaluator, Lookup, Semantics
from core.filters.parser import ROCKETMQ, STANDARD, Grammar, parse
from core.filters.rocketmq import RocketMqEvaluator
from core.filters.syntax import Expression


class Dialect(Enum):
    """In which language a selector is written, and what it may expect of a property."""

    STANDARD = "standard"  # Properties have types; a text is never a number.
    TEXTUAL = "textual"  # The same, but properties are texts, and converted as needed.
    ROCKETMQ = "rocketmq"  # RocketMQ's own grammar, over texts.


class Selector:
    """A condition; `text` is how it was written."""

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str, expression: Expression, evaluator: Evaluator) -> None:
        self.text = text
        self._evaluate = evaluator.condition(expression)

    def matches(self, lookup: Lookup) -> bool:
        """Is it true, and neither false nor unknown, of these properties?"""
        try:
            return self._evaluate(lookup) is True
        except ValueError:  # What RocketMQ cannot compare, it does not deliver.
            return False


_Check = Callable[[Expression], None]
_DIALECTS: dict[Dialect, tuple[Grammar, _Check, Callable[[], Evaluator]]] = {
    Dialect.STANDARD: (STANDARD, check_standard, lambda: Evaluator(Semantics())),
    Dialect.TEXTUAL: (
        STANDARD,
        check_standard,
        lambda: Evaluator(Semantics(converts_text=True)),
    ),
    Dialect.ROCKETMQ: (ROCKETMQ, check_rocketmq, RocketMqEvaluator),
}


@lru_cache(maxsize=1024)
def parse_selector(text: str, dialect: Dialect = Dialect.STANDARD) -> Selector:
    """Read a selector. Raises `SelectorError`."""
    grammar, check, make_evaluator = _DIALECTS[dialect]
    expression = parse(text, grammar)
    check(expression)
    return Selector(text, expression, make_evaluator())
