"""The README's snippets as pasted one after the other, and the examples, on a running broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from interop.servers import rosettamq_server
from tests.interop.pasted import run_code
from tests.support.readme import README, read_snippets

pytestmark = pytest.mark.interop

EXAMPLES = sorted((README.parent / "examples").glob("*.py"))


def test_each_snippet_prints_what_it_says() -> None:
    with rosettamq_server() as server:
        for snippet in read_snippets():
            assert run_code(snippet.code, server.addresses) == (snippet.prints, "")


def test_what_one_example_sends_the_next_receives() -> None:
    with rosettamq_server() as server:
        for sender, receiver in zip(EXAMPLES, EXAMPLES[1:] + EXAMPLES[:1], strict=True):
            sent, _ = run_code(sender.read_text(), server.addresses, "send")
            assert sent == ["sent order 1", "sent order 2", "sent order 3"]
            received, _ = run_code(fast(receiver), server.addresses, "receive")
            assert [line.split("}")[0] for line in received] == [
                "{'order': 1",
                "{'order': 2",
                "{'order': 3",
            ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.name))
def test_an_example_says_what_it_wants(example: Path) -> None:
    command = [sys.executable, str(example)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr == example.read_text().split('"""')[1] + "\n"


def fast(example: Path) -> str:
    """An example waits two seconds for more; a test need not."""
    code = example.read_text()
    for wait in ("inactivity_timeout=2", "timeout=2)", "wait_s=2"):
        code = code.replace(wait, wait.replace("2", "0.2"))
    return code
