"""Selectors as RabbitMQ's JMS client sends them: compiled to an Erlang term, written as text.

    {'and',{'is_null',{'ident',<<"nothing">>}},{'>',{'ident',<<"price">>},{'-',12,4}}}.

The client has checked and arranged them, so a term is taken as it is. There is 1 / 2 a half, and a
text differs from every number.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from core.errors import SelectorError
from core.filters.evaluator import Evaluator, Semantics
from core.filters.parser import DEPTH_MAX, SIZE_MAX
from core.filters.selector import Selector
from core.filters.syntax import (
    Arithmetic,
    Between,
    Comparison,
    Expression,
    In,
    IsNull,
    Like,
    Literal,
    Name,
    Not,
    Sign,
    join,
    walk,
)

# A term: a tuple of an atom and its operands, a list of texts, a number, a text, or an atom.
_Term: TypeAlias = "_Atom | tuple[_Term, ...] | list[_Term] | str | int | float"

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<atom>   '[^'\\]*' )
    | (?P<binary> <<"(?:[^"\\]|\\.)*">> | <<>> )
    | (?P<float>  -?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)? )
    | (?P<integer> -?[0-9]{1,40} )
    | (?P<symbol> [{}\[\],] )
    )""",
    re.VERBOSE | re.DOTALL,
)
_END = re.compile(r"\s*\.\s*")
_NESTING_MAX = 2 * DEPTH_MAX  # In a chain of AND or OR, every word is nested in the one before.
_CONSTANTS: dict[str, bool] = {"true": True, "false": False}
_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


class _Atom(str):
    """The text of an atom."""

    __slots__ = ()


@lru_cache(maxsize=1024)
def parse_term_selector(text: str) -> Selector:
    """Read a selector. Raises `SelectorError`."""
    expression = parse_term(text)
    return Selector(
        text, expression, Evaluator(Semantics(unlike_differ=True, divides_exactly=True))
    )


def parse_term(text: str) -> Expression:
    """What a term says. Raises `SelectorError`."""
    if len(text) > SIZE_MAX:
        raise SelectorError(f"the selector is longer than {SIZE_MAX} characters", SIZE_MAX)
    reader = _Reader(text)
    term = reader.read()
    reader.expect_end()
    expression = _expression(term)
    if any(depth > DEPTH_MAX for _, depth in walk(expression)):
        raise SelectorError("the selector is nested too deeply", 0)
    return expression


class _Reader:
    """Text -> terms."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> _Term:
        """The next term."""
        position = self._at
        found = _TOKEN.match(self._text, position)
        if found is None:
            raise SelectorError("expected a term", position)
        self._at = found.end()
        token = found.group().strip()
        match found.lastgroup:
            case "atom":
                return _Atom(token[1:-1])
            case "binary":
                return re.sub(r"\\(.)", r"\1", token[3:-3], flags=re.DOTALL)
            case "float":
                return float(token)
            case "integer":
                return int(token)
        if token == "{":
            return tuple(self._sequence("}"))
        if token == "[":
            return self._sequence("]")
        raise SelectorError(f"expected a term, but found {token}", position)

    def expect_end(self) -> None:
        """A full stop, and nothing behind it."""
        if not _END.fullmatch(self._text, self._at):
            raise SelectorError("expected a full stop", self._at)

    def _sequence(self, end: str) -> list[_Term]:
        self._depth += 1
        if self._depth > _NESTING_MAX:
            raise SelectorError("the selector is nested too deeply", self._at)
        terms: list[_Term] = []
        if self._next_symbol() != end:
            terms.append(self.read())
            while self._next_symbol() == ",":
                self._skip()
                terms.append(self.read())
        if self._next_symbol() != end:
            raise SelectorError(f"expected {end}", self._at)
        self._skip()
        self._depth -= 1
        return terms

    def _next_symbol(self) -> str:
        found = _TOKEN.match(self._text, self._at)
        return found.group().strip() if found and found.lastgroup == "symbol" else ""

    def _skip(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        assert found is not None
        self._at = found.end()


def _expression(term: _Term) -> Expression:
    """What a term means. Raises `SelectorError`."""
    match term:
        case str() | int() | float():
            return _literal(term)
        case (_Atom("ident"), str(name)):
            return Name(name)
        case (_Atom("and" | "or" as word), left, right):
            return join(word.upper(), [_expression(left), _expression(right)])
        case (_Atom("not"), operand):
            return Not(_expression(operand))
        case (_Atom(operator), left, right) if operator in _COMPARISONS:
            return Comparison(operator, _expression(left), _expression(right))
        case (_Atom("+" | "-" | "*" | "/" as operator), left, right):
            return Arithmetic(operator, _expression(left), _expression(right))
        case (_Atom("+" | "-" as sign), operand):
            return Sign(sign, _expression(operand))
        case tuple():
            return _test(term)
        case _:
            raise SelectorError("a list stands where none may be", 0)


def _literal(term: _Atom | str | int | float) -> Expression:
    if not isinstance(term, _Atom):
        return Literal(term)
    if term not in _CONSTANTS:
        raise SelectorError(f"the atom {term} means nothing", 0)
    return Literal(_CONSTANTS[term])


def _test(term: tuple[_Term, ...]) -> Expression:
    """What is asked of one operand."""
    match term:
        case (_Atom("between" | "not_between"), _, (_Atom("range"), low, high)):
            return _test((*term[:2], low, high))
        case (_Atom("between" | "not_between" as word), operand, low, high):
            limits = _expression(low), _expression(high)
            return Between(_expression(operand), *limits, word == "not_between")
        case (_Atom("in" | "not_in" as word), operand, list(texts)):
            return In(_expression(operand), tuple(map(str, texts)), word == "not_in")
        case (_Atom("like" | "not_like" as word), operand, str(pattern), _Atom("no_escape")):
            return Like(_expression(operand), pattern, None, word == "not_like")
        case (_Atom("like" | "not_like" as word), operand, str(pattern), str(escape)):
            return Like(_expression(operand), pattern, escape, word == "not_like")
        case (_Atom("is_null" | "not_null" as word), operand):
            return IsNull(_expression(operand), word == "not_null")
        case _:
            raise SelectorError(f"{term[0] if term else 'an empty tuple'} means nothing", 0)
