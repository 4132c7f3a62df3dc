"""Runs a program on a broker, and reads what it says."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.demo.sample import Address
from gateway.service.addresses import format_address
from interop.clients.programs import Program

TIMEOUT_S = 300.0
_LAST_WORDS = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program saw in a scenario; no problem means that it holds."""

    seen: object = None
    problem: str = ""


@dataclass(slots=True)
class Run:
    """One program on one broker."""

    library: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problem: str = ""  # It did not come to its end.


def run(program: Program, address: Address, scenarios: Sequence[str] = ()) -> Run:
    """Run these scenarios, or all of them."""
    return execute(program, (f"amqp://guest:guest@{format_address(*address)}/%2F", *scenarios))


def execute(program: Program, arguments: Sequence[str]) -> Run:
    """Run it with these arguments."""
    with tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(
                [*program.command, *arguments],
                cwd=program.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            printed, problem = done.stdout, f"ended with {done.returncode}"
        except subprocess.TimeoutExpired as error:
            output = error.stdout or b""
            printed = output.decode() if isinstance(output, bytes) else output
            done, problem = None, f"did not end in {TIMEOUT_S:.0f} s"
        outcome = parse(printed)
        if done is None or done.returncode:
            errors.seek(0)
            outcome.problem = f"{problem}: {errors.read()[-_LAST_WORDS:]}"
    return outcome


def parse(printed: str) -> Run:
    """Read a program's lines; what is not JSON is its own chatter."""
    result = Run()
    for line in printed.splitlines():
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        if "library" in said:
            result.library = said["library"]
        else:
            outcome = Outcome(said.get("seen"), said.get("problem", ""))
            result.outcomes[said["scenario"]] = outcome
    return result
