"""The rules that a machine can hold: who imports whom, whose words are used where."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "gateway", "protocols", "rosettamq", "interop")

# Whom each package may import of ours, besides itself. Nothing may import interop.
ALLOWED = {
    "rosettamq": set(),
    "core": set(),
    "gateway": {"core", "rosettamq"},
    "protocols": {"gateway", "core", "rosettamq"},
    "interop": {"gateway", "core", "rosettamq", "bench"},
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> set[str]:
    """The absolute names of the modules that a file imports, in whatever function."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parent.parts
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            imported.add(module)
            imported.update(f"{module}.{alias.name}" for alias in node.names)
    return imported


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=name_of)
def test_imports_go_downwards(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    of_ours = {name.split(".")[0] for name in imports_of(path)} & {*PACKAGES, "tests", "bench"}
    assert of_ours - {package} <= ALLOWED[package]


@pytest.mark.parametrize("path", sources("protocols"), ids=name_of)
def test_front_ends_do_not_import_one_another(path: Path) -> None:
    own, *below = path.relative_to(ROOT / "protocols").parts
    folders = {folder.name for folder in (ROOT / "protocols").iterdir() if folder.is_dir()}
    used = {name.split(".")[1] for name in imports_of(path) if name.startswith("protocols.")}
    assert used & folders <= ({own} if below else set())


@pytest.mark.parametrize("path", sources("core"), ids=name_of)
def test_core_knows_no_protocol_and_no_socket(path: Path) -> None:
    imported = imports_of(path)
    assert not imported & {"socket", "pamqp", "twisted.internet.reactor", "twisted.internet.tcp"}
    assert not {name for name in imported if name.startswith(("pamqp.", "twisted.web"))}
    code = path.read_text()
    assert not re.findall(r"(?i)\b(amqp|stomp|rabbitmq|jms|exchange|routing.key)\w*", words(code))


def words(code: str) -> str:
    """The names that a module uses; its prose may say what something is *not*."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return " ".join(token.string for token in tokens if token.type == tokenize.NAME)


@pytest.mark.parametrize("path", sources("protocols"), ids=name_of)
def test_codecs_and_sessions_are_without_io(path: Path) -> None:
    """Only transport.py has a socket; front_end.py and name_server.py make its factories.

    What waits may know the shape of a clock.
    """
    if path.name in ("transport.py", "front_end.py", "name_server.py"):
        return
    used = {name for name in imports_of(path) if name.startswith(("twisted", "socket"))}
    clock = {"twisted.internet.interfaces." + name for name in ("IReactorTime", "IDelayedCall")}
    assert (
        used <= {"twisted.logger", "twisted.logger.Logger", "twisted.internet.interfaces"} | clock
    )


def committed_files() -> list[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def lines_matching(pattern: str) -> list[str]:
    found = []
    for name in committed_files():
        if name == name_of(Path(__file__)):
            continue
        try:
            text = (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def test_a_todo_carries_a_link() -> None:
    assert not lines_matching(r"\b(TODO|FIXME|XXX)\b(?!.*https?://)")


def test_no_path_of_one_machine() -> None:
    assert not lines_matching(r"(?<![\w.])/(work|home/\w+|Users/\w+|root)/(?!\.\.\.)")
