"""Each way of using pika: BlockingConnection is in every other scenario, here are the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from interop.servers import Server, rosettamq_server

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rosettamq_server() as server:
        yield server


@pytest.mark.parametrize(
    "program", ["pika_select", "pika_twisted", "pika_transactions", "pika_rpc"]
)
def test_an_ordinary_program_runs(program: str, server: Server) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            f"tests.interop.programs.{program}",
            str(server.addresses["amqp"][1]),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "ok\n", done.stderr
