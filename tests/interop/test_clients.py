"""AMQP clients of other languages: what `make interop-clients` has installed runs here, too."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from interop.clients.comparing import report
from interop.clients.matrix import Row, Verdict, make_document
from interop.clients.programs import PROGRAMS, Program
from interop.clients.runs import Outcome, Run, parse, run
from interop.clients.scenarios import SCENARIOS, SLOW
from interop.servers import Server, rosettamq_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rosettamq_server() as server:
        yield server


@pytest.mark.interop
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_an_ordinary_program(program: Program, server: Server) -> None:
    if program.takes_long:
        pytest.skip("`make interop-clients` runs it")
    if not program.is_installed():
        pytest.skip("`make interop-clients` installs it, or says what it needs")
    fast = [scenario for scenario in program.scenarios if scenario not in SLOW]
    ran = run(program, server.addresses["amqp"], fast)
    assert ran.problem == ""
    assert ran.outcomes
    assert {name: each.problem for name, each in ran.outcomes.items() if each.problem} == {}


def test_what_a_program_prints() -> None:
    ran = parse(
        '{"library": "c 1.0"}\n'
        "chatter\n"
        '{"scenario": "confirms", "seen": [1]}\n'
        '{"scenario": "prefetch", "problem": "11 came"}\n'
    )
    assert ran.library == "c 1.0"
    assert ran.outcomes == {"confirms": Outcome([1]), "prefetch": Outcome(None, "11 came")}


def make_row(ours: Outcome, reference: Outcome | None = None) -> Row:
    return Row(
        "client",
        ours=Run("c 1.0", {"confirms": ours}),
        reference=Run("c 1.0", {"confirms": reference}) if reference else None,
    )


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (make_row(Outcome([1])), Verdict.OK),
        (make_row(Outcome([1]), Outcome([1])), Verdict.OK),
        (make_row(Outcome([1]), Outcome([2])), Verdict.DIFFERS),
        (make_row(Outcome(problem="no"), Outcome([1])), Verdict.FAILED),
        (Row("client", skipped="not installed"), Verdict.ABSENT),
    ],
)
def test_a_verdict(row: Row, verdict: Verdict) -> None:
    assert row.verdict("confirms") is verdict
    assert row.verdict("prefetch") is Verdict.ABSENT
    assert bool(row.problems()) == (verdict in (Verdict.DIFFERS, Verdict.FAILED))


def test_what_does_not_hold_on_rabbitmq_is_a_problem_of_the_program() -> None:
    assert make_row(Outcome([1]), Outcome(problem="no")).problems()[0] == (
        "confirms: does not hold on RabbitMQ: no"
    )


def test_the_document() -> None:
    row = make_row(Outcome([1]))
    assert row.ours is not None
    row.ours.outcomes["of its own"] = Outcome()
    lines = make_document([row, Row("other", skipped="not installed")], SCENARIOS).splitlines()
    assert lines[0] == "|  | client |"
    assert "| confirms | ok |" in lines
    assert lines[-2:] == ["- client: c 1.0; of its own: ok", "- other: skipped: not installed"]


def test_a_report_says_what_is_wrong_and_returns_it() -> None:
    lines = io.StringIO()
    console = Console(file=lines, width=80)
    good, skipped = make_row(Outcome([1])), Row("other", skipped="not installed")
    assert report(console, [good, skipped], SCENARIOS, markdown=False) == 0
    assert lines.getvalue().splitlines()[-2:] == [
        "other: skipped: not installed",
        "all 1 hold",
    ]
    assert report(console, [make_row(Outcome(problem="no"))], SCENARIOS, markdown=False) == 1
    assert lines.getvalue().splitlines()[-2:] == [
        "  client: confirms: no",
        "0 hold, 1 do not",
    ]
