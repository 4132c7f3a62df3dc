"""Tokens -> syntax: one parser by precedence, for two grammars.

The standard grammar is that of SQL92 as message services took it over. RocketMQ's has its own
order of precedence (NOT binds tightest, `=` looser than `<`), no LIKE and no arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import SelectorError
from core.filters.lexer import INTEGER_MAX, Kind, Token, tokens
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
    Part,
    Sign,
    join,
    walk,
)

SIZE_MAX = 32 * 1024
DEPTH_MAX = 100  # What is deeper could not be evaluated.

_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}
_ORDERS = ("<", "<=", ">", ">=")
_NEGATABLE = ("BETWEEN", "IN", "LIKE", "CONTAINS", "STARTSWITH", "ENDSWITH")


@dataclass(frozen=True)
class Grammar:
    """What a selector may be made of; a higher power binds tighter."""

    powers: Mapping[str, int]  # Of what stands between two operands, or behind one.
    not_power: int
    sign_power: int
    words: frozenset[str]
    has_comments: bool = False


def _powers(*levels: tuple[str, ...]) -> dict[str, int]:
    return {operator: power for power, level in enumerate(levels, 1) for operator in level}


STANDARD = Grammar(
    _powers(
        ("OR",),
        ("AND",),
        (),  # A NOT that begins a condition.
        ("=", "<>", *_ORDERS, "BETWEEN", "IN", "LIKE", "IS"),
        ("+", "-"),
        ("*", "/"),
    ),
    not_power=3,
    sign_power=7,
    words=frozenset(
        ["AND", "BETWEEN", "ESCAPE", "FALSE", "IN", "IS", "LIKE", "NOT", "NULL", "OR", "TRUE"]
    ),
)

ROCKETMQ = Grammar(
    _powers(
        ("OR",),
        ("AND",),
        ("=", "<>", "IS"),
        (*_ORDERS, "BETWEEN", "IN", "CONTAINS", "STARTSWITH", "ENDSWITH"),
    ),
    not_power=5,
    sign_power=5,
    words=frozenset(
        [
            "AND",
            "BETWEEN",
            "CONTAINS",
            "ENDSWITH",
            "FALSE",
            "IN",
            "IS",
            "NOT",
            "NULL",
            "OR",
            "STARTSWITH",
            "TRUE",
        ]
    ),
    has_comments=True,
)


def parse(text: str, grammar: Grammar) -> Expression:
    """Read a selector. Raises `SelectorError`."""
    if len(text) > SIZE_MAX:
        raise SelectorError(f"the selector is longer than {SIZE_MAX} characters", SIZE_MAX)
    parser = _Parser(list(tokens(text, grammar.words, grammar.has_comments)), grammar)
    expression = parser.parse(1)
    parser.expect(Kind.END, "", "AND, OR or the end")
    for part, depth in walk(expression):
        if depth > DEPTH_MAX:
            raise SelectorError("the selector is nested too deeply", part.position)
    return expression


class _Parser:
    """Precedence climbing over a list of tokens."""

    def __init__(self, tokens: list[Token], grammar: Grammar) -> None:
        self._tokens = tokens
        self._grammar = grammar
        self._at = 0
        self._depth = 0

    def parse(self, power: int) -> Expression:
        """An expression of operators that bind at least so tightly."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise SelectorError("the selector is nested too deeply", self._next.position)
        left = self._prefix(power)
        while (infix_power := self._infix_power()) >= power:
            left = self._infix(left, infix_power)
        self._depth -= 1
        return left

    def expect(self, kind: Kind, text: str, what: str) -> Token:
        """The next token, which must be this one. Raises `SelectorError`."""
        token = self._next
        if token.kind is not kind or (text and token.text != text):
            raise self._unexpected(what)
        self._at += 1
        return token

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, text: str) -> bool:
        """Is the next token this word or symbol?"""
        token = self._next
        return token.kind in (Kind.WORD, Kind.SYMBOL) and token.text == text

    def _unexpected(self, what: str) -> SelectorError:
        token = self._next
        found = "the selector ends" if token.kind is Kind.END else f"found {token.text[:40]}"
        return SelectorError(f"expected {what}, but {found}", token.position)

    # What an expression begins with

    def _prefix(self, power: int) -> Expression:
        token = self._next
        if self._is("NOT") and power <= self._grammar.not_power:
            self._take()
            return Not(self.parse(self._grammar.not_power), token.position)
        if self._is("+") or self._is("-"):
            return self._sign(self._take())
        if self._is("("):
            self._take()
            inner = self.parse(1)
            self.expect(Kind.SYMBOL, ")", "a )")
            return inner
        if token.kind is Kind.NUMBER:
            return self._number(1)
        if token.kind is Kind.STRING:
            return Literal(self._take().value, token.position)
        if token.kind is Kind.NAME:
            return Name(str(self._take().value), token.position)
        if token.kind is Kind.WORD and token.text in _CONSTANTS:
            self._take()
            return Literal(_CONSTANTS[token.text], token.position)
        raise self._unexpected("a value")

    def _sign(self, sign: Token) -> Expression:
        if self._next.kind is Kind.NUMBER:
            return self._number(-1 if sign.text == "-" else 1)
        return Sign(sign.text, self.parse(self._grammar.sign_power), sign.position)

    def _number(self, sign: int) -> Expression:
        token = self._take()
        assert isinstance(token.value, int | float)
        value = sign * token.value
        if isinstance(value, int) and value > INTEGER_MAX:
            raise SelectorError(f"{token.text} is too large a number", token.position)
        return Literal(value, token.position)

    # What follows an operand

    def _infix_power(self) -> int:
        token = self._next
        if token.kind not in (Kind.WORD, Kind.SYMBOL):
            return 0
        text = token.text
        if text == "NOT":
            text = self._tokens[self._at + 1].text
            if text not in _NEGATABLE:
                return 0
        return self._grammar.powers.get(text, 0)

    def _infix(self, left: Expression, power: int) -> Expression:
        token = self._take()
        negated = token.text == "NOT"
        position = token.position
        operator = self._take().text if negated else token.text
        match operator:
            case "AND" | "OR":
                return self._junction(left, operator, power, position)
            case "BETWEEN":
                low = self.parse(power + 1)
                self.expect(Kind.WORD, "AND", "AND and the upper limit")
                return Between(left, low, self.parse(power + 1), negated, position)
            case "IN":
                return In(left, self._texts(), negated, position)
            case "LIKE":
                return self._like(left, negated, position)
            case "IS":
                is_negated = self._is("NOT")
                if is_negated:
                    self._take()
                self.expect(Kind.WORD, "NULL", "NULL")
                return IsNull(left, is_negated, position)
            case "CONTAINS" | "STARTSWITH" | "ENDSWITH":
                return Part(operator, left, self._text(), negated, position)
            case "+" | "-" | "*" | "/":
                return Arithmetic(operator, left, self.parse(power + 1), position)
            case _:
                return Comparison(operator, left, self.parse(power + 1), position)

    def _junction(self, left: Expression, word: str, power: int, position: int) -> Expression:
        """All operands at once: a chain of a thousand is not a thousand deep."""
        operands = [left, self.parse(power + 1)]
        while self._is(word):
            self._take()
            operands.append(self.parse(power + 1))
        return join(word, operands, position)

    def _texts(self) -> tuple[str, ...]:
        self.expect(Kind.SYMBOL, "(", "a ( and texts")
        texts = [self._text()]
        while self._is(","):
            self._take()
            texts.append(self._text())
        self.expect(Kind.SYMBOL, ")", "a , or a )")
        return tuple(texts)

    def _text(self) -> str:
        return str(self.expect(Kind.STRING, "", "a text in quotes").value)

    def _like(self, left: Expression, negated: bool, position: int) -> Expression:
        pattern = self._text()
        escape = None
        if self._is("ESCAPE"):
            self._take()
            escape_position = self._next.position
            escape = self._text()
            if len(escape) != 1:
                raise SelectorError("ESCAPE wants one character", escape_position)
        return Like(left, pattern, escape, negated, position)
