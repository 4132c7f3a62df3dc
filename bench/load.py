"""Build the load generators and run one load; their command lines are in `amqp_load.c` and
`stomp_load.c`. The third is driven by `bench.dialogues`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import ROOT, Server

_SOURCES = ROOT / "bench"
_PROGRAMS = ROOT / "build" / "bench"
AMQP, STOMP, DIALOGUES = "amqp_load", "stomp_load", "amqp_dialogues"
_SETTLE_S = 0.5


class LoadError(Exception):
    """The broker lost, changed, refused or did not finish something; the text says what."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one load came to; latencies only where messages were published and consumed at once."""

    messages: int
    consumed: int
    seconds: float
    messages_per_s: float
    broker_cpu_us: float  # per message
    generator_cpu_share: (
        float  # of one core; near 1 the figures are the generator's, not the broker's
    )
    others_cpu_cores: float  # kept busy by anything but broker and generator
    p50_us: float | None
    p99_us: float | None
    p999_us: float | None


def build() -> None:
    """Compile the generators unless they are newer than their sources."""
    _PROGRAMS.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    for name in (AMQP, STOMP, DIALOGUES):
        program, source = program_path(name), _SOURCES / f"{name}.c"
        changed = max(each.stat().st_mtime for each in (source, *_SOURCES.glob("*.h")))
        if not program.exists() or program.stat().st_mtime <= changed:
            subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(source)], check=True)


def program_path(name: str) -> Path:
    """Where a generator is once it is built."""
    return _PROGRAMS / name


def settle() -> None:
    """Let the disk finish what earlier loads left, so that the next one does not pay for it."""
    os.sync()
    time.sleep(_SETTLE_S)


def run(
    server: Server,
    *options: object,
    generator: str = AMQP,
    timeout_s: float = 120.0,
    on_progress: Callable[[int, float], None] | None = None,
) -> Figures:
    """Run one load; `on_progress` gets the count and the seconds of each `--progress` line."""
    port = server.stomp_port if generator == STOMP else server.port
    command = [str(program_path(generator)), "--port", str(port), "--broker-pid", str(server.pid)]
    command += ["--timeout", str(timeout_s), *map(str, options)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        result: dict[str, Any] = {}
        try:
            for line in process.stdout:
                result = json.loads(line)
                if on_progress is not None and "progress" in result:
                    on_progress(result["progress"], result["seconds"])
        except BaseException:
            process.kill()
            raise
        complaint = process.stderr.read().strip()
    if process.returncode != 0:
        server.check_running()
        raise LoadError(complaint or f"{generator} ended with status {process.returncode}")
    return _figures(result)


def _figures(result: dict[str, Any]) -> Figures:
    latency: dict[str, float] = result.get("latency_us", {})
    own_s = result["broker_cpu_seconds"] + result["generator_cpu_seconds"]
    others_s = result["machine_cpu_seconds"] - own_s
    return Figures(
        messages=result["messages"],
        consumed=result["consumed"],
        seconds=result["seconds"],
        messages_per_s=result["rate"],
        broker_cpu_us=result["broker_cpu_seconds"] * 1e6 / result["messages"],
        generator_cpu_share=result["generator_cpu_seconds"] / result["seconds"],
        others_cpu_cores=max(0.0, others_s) / result["seconds"],
        p50_us=latency.get("p50"),
        p99_us=latency.get("p99"),
        p999_us=latency.get("p999"),
    )
