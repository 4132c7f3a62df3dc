"""The README's snippets, as pasted one after the other against a running broker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from interop.servers import rosettamq_server
from tests.support.readme import read_snippets

pytestmark = pytest.mark.interop

DEFAULT_PORTS = {"amqp": "5672", "stomp": "61613", "name_server": "9876"}


def test_each_prints_what_it_says() -> None:
    with rosettamq_server() as server:
        for snippet in read_snippets():
            run = subprocess.run(
                [sys.executable, "-c", on_ports_of(server.addresses, snippet.code)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (run.returncode, run.stderr) == (0, "")
            assert run.stdout.splitlines() == snippet.prints


def on_ports_of(addresses: Mapping[str, tuple[str, int]], code: str) -> str:
    for name, port in DEFAULT_PORTS.items():
        code = code.replace(port, str(addresses[name][1]))
    return code
