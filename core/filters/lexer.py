"""The text of a selector -> tokens, each with its position."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from core.errors import SelectorError
from core.filters.syntax import Value

INTEGER_MAX = (1 << 63) - 1


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    WORD = auto()  # A name that means something; its text is in capitals.
    NUMBER = auto()
    STRING = auto()
    SYMBOL = auto()
    END = auto()


class Token(NamedTuple):
    """One token; `value` is what a name, number or string stands for."""

    kind: Kind
    text: str
    position: int
    value: Value = None


_TOKEN = re.compile(
    r"""
      (?P<space>   \s+ )
    | (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<float>   (?: [0-9]+\.[0-9]* | \.[0-9]+ ) (?:[eE][+-]?[0-9]+)? [fFdD]?
                   | [0-9]+[eE][+-]?[0-9]+[fFdD]? | [0-9]+[fFdD] )
    | (?P<integer> 0[xX][0-9a-fA-F]+[lL]? | [0-9]+[lL]? )
    | (?P<name>    (?:[^\W\d]|\$) (?:\w|\$)* )
    | (?P<quoted>  "(?:[^"]|"")+" )
    | (?P<string>  '(?:[^']|'')*' )
    | (?P<symbol>  <> | <= | >= | [-+*/=<>(),] )
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str, words: frozenset[str], has_comments: bool) -> Iterator[Token]:
    """The tokens of a selector, and one for its end. Raises `SelectorError`."""
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise _unknown(text, position)
        if found.lastgroup == "comment" and not has_comments:
            # Then these are two operators in a row, or an operator and a sign.
            yield Token(Kind.SYMBOL, text[position], position)
            position += 1
            continue
        if found.lastgroup not in ("space", "comment"):
            yield _token(found.lastgroup, found.group(), position, words)
        position = found.end()
    yield Token(Kind.END, "", position)


def _token(kind: str, text: str, position: int, words: frozenset[str]) -> Token:
    if kind == "symbol":
        return Token(Kind.SYMBOL, text, position)
    if kind == "string":
        return Token(Kind.STRING, text, position, text[1:-1].replace("''", "'"))
    if kind == "quoted":
        return Token(Kind.NAME, text, position, text[1:-1].replace('""', '"'))
    if kind == "name":
        if text.upper() in words:
            return Token(Kind.WORD, text.upper(), position)
        return Token(Kind.NAME, text, position, text)
    number = _float(text, position) if kind == "float" else _integer(text, position)
    return Token(Kind.NUMBER, text, position, number)


def _float(text: str, position: int) -> float:
    number = float(text.rstrip("fFdD"))
    if number == float("inf"):
        raise SelectorError(f"{text} is too large a number", position)
    return number


def _integer(text: str, position: int) -> int:
    """An integer as Java writes it: `0x` for hexadecimal, a leading 0 for octal."""
    digits = text.rstrip("lL")
    try:
        if digits[:2] in ("0x", "0X"):
            number = int(digits, 16)
        elif digits.startswith("0") and len(digits) > 1:
            number = int(digits, 8)
        else:
            number = int(digits)
    except ValueError:
        raise SelectorError(f"{text[:40]} is not a number", position) from None
    if number > INTEGER_MAX + 1:  # One more has a minus before it.
        raise SelectorError(f"{text[:40]} is too large a number", position)
    return number


def _unknown(text: str, position: int) -> SelectorError:
    if text[position] == "'":
        return SelectorError("a text without its closing ' begins", position)
    return SelectorError(f"{text[position]!r} means nothing", position)
