"""The README's snippets are Python, and their comments say what they print."""

from __future__ import annotations

from codeop import compile_command

import pytest

from tests.support.readme import Snippet, read_snippets


def test_one_for_each_language() -> None:
    imported = [snippet.code.split("\n")[0] for snippet in read_snippets()]
    assert imported == ["import pika", "import queue", "import rosettamq"]


@pytest.mark.parametrize("snippet", read_snippets(), ids=lambda s: s.code.split("\n")[0])
def test_says_what_it_prints(snippet: Snippet) -> None:
    assert snippet.prints


@pytest.mark.parametrize("snippet", read_snippets(), ids=lambda s: s.code.split("\n")[0])
def test_can_be_pasted_into_a_prompt(snippet: Snippet) -> None:
    """At a prompt a block ends with an empty line, and nothing else may follow it before."""
    statement: list[str] = []
    for line in [*snippet.code.splitlines(), ""]:
        statement.append(line)
        if compile_command("\n".join(statement)) is not None:
            statement = []
    assert statement == []
