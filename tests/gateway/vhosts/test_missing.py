from __future__ import annotations

import pytest

from gateway.vhosts import missing
from gateway.vhosts.missing import Missing


def test_what_was_looked_for_is_missing_until_all_look_again() -> None:
    names = Missing()
    assert "q" not in names
    names.look("q")
    assert "q" in names
    names.clear()
    assert "q" not in names


def test_when_too_many_are_missing_any_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "_COUNT_MAX", 2)
    names = Missing()
    for name in ("a", "b", "c"):
        names.look(name)
    assert "never looked for" in names
    assert len(names._names) == 2
    names.clear()
    assert "a" not in names
