"""The README's snippets are Python, and their comments say what they print."""

from __future__ import annotations

import ast

import pytest

from tests.support.readme import Snippet, read_snippets


def test_one_for_each_language() -> None:
    imported = [snippet.code.split("\n")[0] for snippet in read_snippets()]
    assert imported == ["import pika", "import queue", "import rosettamq"]


@pytest.mark.parametrize("snippet", read_snippets(), ids=lambda s: s.code.split("\n")[0])
def test_compiles_and_says_what_it_prints(snippet: Snippet) -> None:
    ast.parse(snippet.code)
    assert snippet.prints
