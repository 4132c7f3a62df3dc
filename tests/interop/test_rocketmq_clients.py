"""RocketMQ's own clients: those that `python -m interop.clients.rocketmq` has installed."""

from __future__ import annotations

import pytest

from interop.clients.programs import Program
from interop.clients.rocketmq.__main__ import run
from interop.clients.rocketmq.programs import PROGRAMS
from interop.servers import rosettamq_server

# Those that take seconds, or less.
SCENARIOS = ("send and push", "batch", "tags", "SQL92", "ordered", "lite pull", "seek")


@pytest.mark.interop
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_an_ordinary_program(program: Program) -> None:
    if not program.is_installed():
        pytest.skip("`python -m interop.clients.rocketmq` installs it, or says what it needs")
    with rosettamq_server() as server:
        ran = run(program, server.addresses["name_server"], SCENARIOS)
    assert ran.problem == ""
    assert ran.library
    assert list(ran.outcomes) == list(SCENARIOS)
    assert {name: each.problem for name, each in ran.outcomes.items() if each.problem} == {}
