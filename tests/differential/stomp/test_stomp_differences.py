"""The table of STOMP's differences, without a server."""

from __future__ import annotations

from tests.differential.stomp.differences import TABLE


def test_the_document_shows_the_table() -> None:
    """If not: `python -m tests.differential.stomp.differences`."""
    assert TABLE.document.read_text() == TABLE.render()


def test_a_difference_is_known_by_both_lines() -> None:
    theirs = "queues: ~q1: 0 ready, 0 consumers"
    assert TABLE.find(theirs, "queues: ~q1: missing") is not None
    assert TABLE.find(theirs, "queues: ~q2: missing") is None
    assert TABLE.find("queues: ~q1: missing", theirs) is None
