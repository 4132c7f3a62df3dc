"""Runs code as a user would: in an interpreter of its own, but on the ports of a test's broker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

DEFAULT_PORTS = {"amqp": "5672", "stomp": "61613", "name_server": "9876"}


def run_code(
    code: str, addresses: Mapping[str, tuple[str, int]], *arguments: str
) -> tuple[list[str], str]:
    """Give the lines that it printed, and what it wrote to stderr; it must end well."""
    for name, port in DEFAULT_PORTS.items():
        code = code.replace(port, str(addresses[name][1]))
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines(), run.stderr
