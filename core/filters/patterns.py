"""LIKE: a pattern of `%` (anything) and `_` (one character) against a whole text.

Each piece between two `%` is looked for once, from left to right: no pattern takes longer than its
length times the text's, which is not so for a regular expression with several `.*`.
"""

from __future__ import annotations

import re
from collections.abc import Callable


def compile_pattern(pattern: str, escape: str | None) -> Callable[[str], bool]:
    """Does a text fit this pattern?"""
    pieces = _pieces(pattern, escape)
    compiled = [re.compile("".join(piece), re.DOTALL) for piece in pieces]
    if len(pieces) == 1:
        whole = compiled[0]
        return lambda text: whole.fullmatch(text) is not None
    first, *middle, last = compiled
    last_size = len(pieces[-1])
    size_min = sum(map(len, pieces))

    def fits(text: str) -> bool:
        if len(text) < size_min:
            return False
        found = first.match(text)
        for piece in middle:
            if found is None:
                return False
            found = piece.search(text, found.end())
        if found is None or found.end() > len(text) - last_size:
            return False
        return last.match(text, len(text) - last_size) is not None

    return fits


def _pieces(pattern: str, escape: str | None) -> list[list[str]]:
    """What stands between the `%`, as regular expressions of one character each."""
    pieces: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            pieces[-1].append(re.escape(next(characters, character)))
        elif character == "%":
            pieces.append([])
        elif character == "_":
            pieces[-1].append(".")
        else:
            pieces[-1].append(re.escape(character))
    return pieces
