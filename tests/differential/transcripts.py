"""Two transcripts of the same steps, line by line: do they agree, as far as a table demands?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TypeAlias

from tests.differential.table import Table

# Streams of lines; the order within a stream is certain, that between them is not.
Notes: TypeAlias = "dict[str, list[str]]"

_COLUMN_SIZE = 92


class DisagreementError(AssertionError):
    """The servers differ, and the table does not say so; the text has both transcripts."""


def check(table: Table, theirs: Notes, ours: Notes, transcript: list[str]) -> bool:
    """Compare what one step brought; True if nothing more is to be compared.

    Adds it to `transcript`. Raises `DisagreementError`.
    """
    agreed, ends = _agree(table, theirs, ours)
    transcript += _side_by_side(table, theirs, ours)
    if not agreed:
        raise DisagreementError("\n" + "\n".join(transcript))
    return ends


def _agree(table: Table, theirs: Notes, ours: Notes) -> tuple[bool, bool]:
    """Whether the notes agree, as far as the table demands; whether the example ends here."""
    agreed = True
    for their_line, our_line in _pairs(theirs, ours):
        if their_line == our_line:
            continue
        difference = table.find(their_line, our_line)
        if difference is None:
            agreed = False
        elif difference.ends:
            return True, True
    return agreed, False


def _pairs(theirs: Notes, ours: Notes) -> Iterator[tuple[str, str]]:
    for stream in sorted({*theirs, *ours}):
        lines = zip_longest(theirs.get(stream, ()), ours.get(stream, ()), fillvalue="")
        for their_line, our_line in lines:
            yield f"{stream}: {their_line}", f"{stream}: {our_line}"


def _side_by_side(table: Table, theirs: Notes, ours: Notes) -> Iterator[str]:
    for their_line, our_line in _pairs(theirs, ours):
        if their_line == our_line:
            yield f"     {their_line}"
        elif table.find(their_line, our_line):
            yield f"   ~ {their_line:{_COLUMN_SIZE}} | {our_line}"
        else:
            yield f" !!! {their_line:{_COLUMN_SIZE}} | {our_line}"
