"""What a person at a terminal sees: all of it, and what is to be pasted as it is."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from gateway.service.welcome import show_welcome

ADDRESSES = {"amqp": ("127.0.0.1", 5672), "name_server": ("127.0.0.1", 9876)}


def shown(
    monkeypatch: pytest.MonkeyPatch, columns: int, folder: Path, encoding: str = "utf-8"
) -> str:
    written = io.BytesIO()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    show_welcome(ADDRESSES, folder)
    sys.stdout.flush()
    return written.getvalue().decode(encoding)


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_what_to_paste_is_a_program(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    text = shown(monkeypatch, columns, Path("/data"))
    program = text[text.index("import pika") : text.index("\n...")]
    compile(program, "pasted", "exec")
    assert '"amqp://guest:guest@127.0.0.1:5672/"' in program
    assert max(map(len, program.splitlines())) < 80


def test_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 30, Path("/a/rather/long/path/to/some/data"))
    panel = text[: text.index("Try it")]
    rows = [line.strip("│ ").split("  ") for line in panel.splitlines()[1:-1]]
    values = "".join(row[-1].strip() for row in rows)
    assert "127.0.0.1:5672" in values
    assert "/a/rather/long/path/to/some/data" in values


def test_a_terminal_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 80, Path("/caf\udce9"), "ascii")
    assert r"/caf\udce9" in text
