"""The programs: where each is, what it needs, how it is built and run.

Each is copied to a folder under `build/clients`, which git ignores, and what its tools fetch and
build stays there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interop.clients.scenarios import SCENARIOS

SOURCES = Path(__file__).parent
CACHE = SOURCES.parents[1] / "build" / "clients"
_TUTORIALS = ("hello world", "work queues", "publish/subscribe", "routing", "topics", "RPC")
_PREPARE_TIMEOUT_S = 900.0
_VENV = "venv/bin/python"


class MissingError(Exception):
    """What a program needs is not there; the text says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Program:
    """An ordinary program with a client library; it is run in its copied folder."""

    name: str
    folder: str
    command: Sequence[str]
    tools: Mapping[str, str] = field(default_factory=dict)  # By command: how to get it.
    prepare: Sequence[Sequence[str]] = ()
    check: Sequence[str] = ()  # Succeeds where the library is installed.
    advice: str = ""
    built: str = ""  # This is there when it was prepared.
    scenarios: Sequence[str] = tuple(SCENARIOS)  # Those that it may have.
    takes_long: bool = False

    @property
    def directory(self) -> Path:
        """Where it is built and run."""
        return CACHE / self.folder

    def refresh(self) -> None:
        """Bring its sources up to date; raises `MissingError` if a tool is not installed."""
        for tool, advice in self.tools.items():
            if shutil.which(tool) is None:
                raise MissingError(f"{tool} is not installed: {advice}")
        shutil.copytree(
            SOURCES / self.folder,
            self.directory,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        if self.check and self._run(self.check, 60.0).returncode:
            raise MissingError(self.advice)

    def install(self) -> None:
        """Fetch and build what it needs; raises `MissingError`, with the last words of the tool."""
        self.refresh()
        for command in self.prepare:
            done = self._run(command, _PREPARE_TIMEOUT_S)
            if done.returncode:
                last = done.stdout.strip().splitlines()[-1:]
                raise MissingError(f"{' '.join(command)}: {' '.join(last)}")

    def is_installed(self) -> bool:
        """Whether `install` has been run here; then its present sources are what runs."""
        try:
            self.refresh()
        except MissingError:
            return False
        return not self.built or (self.directory / self.built).exists()

    def _run(self, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def _with_maven(name: str, folder: str, main: str) -> Program:
    return Program(
        name,
        folder,
        ("java", "-cp", "target/classes:target/lib/*", main),
        tools={"java": "apt-get install openjdk-17-jdk-headless", "mvn": "apt-get install maven"},
        prepare=(("mvn", "--quiet", "--batch-mode", "process-classes"),),
        built=f"target/classes/{main}.class",
    )


def _in_venv(name: str, program: str, takes_long: bool = False) -> Program:
    return Program(
        name,
        "python",
        (_VENV, program),
        prepare=(
            (sys.executable, "-m", "venv", "venv"),
            (_VENV, "-m", "pip", "install", "--quiet", "--requirement", "requirements.txt"),
        ),
        built="venv/bin/celery",
        takes_long=takes_long,
    )


def _with_pika(name: str, program: str, scenarios: Sequence[str]) -> Program:
    return Program(
        name,
        "python",
        (sys.executable, program),
        check=(sys.executable, "-c", "import pika"),
        advice="pika is not installed: pip install pika",
        scenarios=scenarios,
    )


PROGRAMS = (
    _with_maven("Java", "java", "ClientProgram"),
    _with_maven("Spring", "spring", "SpringProgram"),
    Program(
        "Go",
        "go",
        ("./program",),
        tools={"go": "apt-get install golang"},
        prepare=(("go", "build", "-o", "program", "."),),
        built="program",
    ),
    Program(
        "Node",
        "node",
        ("node", "program.mjs"),
        tools={"node": "apt-get install nodejs", "npm": "apt-get install npm"},
        prepare=(("npm", "ci", "--no-audit", "--no-fund"),),
        built="node_modules/amqplib",
    ),
    Program(
        "Rust",
        "rust",
        ("target/debug/program",),
        tools={"cargo": "apt-get install cargo, or rustup"},
        prepare=(("cargo", "build", "--quiet", "--locked"),),
        built="target/debug/program",
    ),
    Program(
        "Ruby",
        "ruby",
        ("ruby", "program.rb"),
        tools={"ruby": "apt-get install ruby"},
        check=("ruby", "-rbunny", "-e", "0"),
        advice="bunny is not installed: apt-get install ruby-bunny, or bundle install",
    ),
    Program(
        "PHP",
        "php",
        ("php", "program.php"),
        tools={"php": "apt-get install php-cli php-mbstring"},
        check=("php", "library.php"),
        advice="php-amqplib is not installed: apt-get install php-amqplib, or composer install",
    ),
    Program(
        "C tools",
        "shell",
        ("bash", "program.sh"),
        tools={"amqp-publish": "apt-get install amqp-tools"},
    ),
    _with_pika("pika", "pika_program.py", tuple(SCENARIOS)),
    _with_pika("tutorials", "tutorials_program.py", _TUTORIALS),
    _in_venv("aio-pika", "aio_pika_program.py"),
    _in_venv("kombu", "kombu_program.py"),
    _in_venv("Celery", "celery_program.py", takes_long=True),
)
