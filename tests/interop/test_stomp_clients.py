"""STOMP clients of other languages: what `make interop-stomp` has installed runs here, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.clients.stomp.__main__ import run
from interop.clients.stomp.programs import PROGRAMS, StompProgram
from interop.clients.stomp.scenarios import SCENARIOS
from interop.servers import Server, rosettamq_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rosettamq_server() as server:
        yield server


@pytest.mark.interop
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_an_ordinary_program(program: StompProgram, server: Server) -> None:
    if not program.is_installed():
        pytest.skip("`make interop-stomp` installs it, or says what it needs")
    ran = run(program, server.addresses[program.listener])
    assert ran.problem == ""
    assert ran.library
    assert len(ran.outcomes) >= len(SCENARIOS) - 1  # STOMP 1.0 has no heart-beats.
    assert {name: each.problem for name, each in ran.outcomes.items() if each.problem} == {}
