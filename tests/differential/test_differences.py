"""The table of differences, and the machinery that reads it, without a server."""

from __future__ import annotations

import pytest

from tests.differential import wire
from tests.differential.differences import DIFFERENCES, TABLE


def test_the_document_shows_the_table() -> None:
    """If not: `python -m tests.differential.differences`."""
    assert TABLE.document.read_text() == TABLE.render()


def test_a_difference_is_known_by_both_lines() -> None:
    theirs = (
        "c0 replies: 0 connection.close code=503 text=COMMAND_INVALID - unknown exchange type 'a'"
        " class_id=40 method_id=10"
    )
    ours = (
        "c0 replies: 1 channel.close code=406 text=PRECONDITION_FAILED - unknown exchange type 'a'"
        " class_id=40 method_id=10"
    )
    assert TABLE.find(theirs, ours) is DIFFERENCES[0]
    assert TABLE.find(theirs, ours.replace("'a'", "'b'")) is None
    assert TABLE.find(ours, theirs) is None


@pytest.mark.parametrize("name", wire.METHODS)
def test_a_method_can_be_read_back(name: str) -> None:
    octets = wire.method(7, name)
    decoded, fields = wire.decode_method(octets[7:-1])
    assert decoded == name
    assert len(fields) == len(wire.METHODS[name][2].split())
