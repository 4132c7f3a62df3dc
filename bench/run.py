"""Measure our gateway beside others, on one machine and in one run: `python -m bench`.

All servers are up for the whole of a case and are loaded in turns, so that what the machine does
meanwhile happens to all. The figure of a case is the median of its rounds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import load, report
from bench.activemq import ActiveMQ
from bench.cases import CASES, Case
from bench.report import Outcome, Outcomes, Results, Round
from bench.servers import RabbitMQ, RosettaMQ, Server, ServerError

INSTALLED = [RosettaMQ.name] + [each.name for each in (RabbitMQ, ActiveMQ) if each.is_installed()]


def run_case(case: Case, arguments: argparse.Namespace) -> Outcomes:
    """Start the servers on empty data, load them in turns, stop them."""
    names = [name for name in arguments.servers if speaks(name, case)]
    outcomes = {name: Outcome([]) for name in names}
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-bench-", dir=arguments.data_root) as root,
        ExitStack() as stack,
    ):
        servers: dict[str, Server] = {}
        for name in names:
            server = make_server(name, Path(root) / name, case, arguments.settings)
            try:
                servers[name] = stack.enter_context(server)
            except ServerError as error:
                outcomes[name].failure = str(error)
        for name, server in servers.items():
            attempt(outcomes[name], partial(warm_up, server, case))
        for _ in range(arguments.rounds):
            for name, server in servers.items():
                attempt(outcomes[name], partial(measure, server, case, arguments.quick))
    return outcomes


def speaks(server: str, case: Case) -> bool:
    """Can this server take part in the case?"""
    return server != ActiveMQ.name or case.generator == load.STOMP


def make_server(name: str, directory: Path, case: Case, settings: list[str]) -> Server:
    """The server of that name; `settings` are for ours."""
    if name == ActiveMQ.name:
        return ActiveMQ(directory)
    if name == RosettaMQ.name:
        return RosettaMQ(directory, settings)
    return RabbitMQ(directory, speaks_stomp=case.generator == load.STOMP)


def attempt(outcome: Outcome, load_once: Callable[[], Round | None]) -> None:
    """Load a server, unless that failed before: its queues may be left in any state."""
    if outcome.failure is not None:
        return
    try:
        if (figures := load_once()) is not None:
            outcome.rounds.append(figures)
    except (load.LoadError, ServerError) as error:
        outcome.failure = str(error)


def warm_up(server: Server, case: Case) -> None:
    """A second of the case, unmeasured: RabbitMQ loads its code when it first needs it."""
    if case.fill is not None:
        return  # Filling warms up too.
    keep = ("--keep",) if case.read_back is not None else ()
    load.run(server, *case.options, "--seconds", 1, *keep, generator=case.generator)
    if case.read_back is not None:
        load.run(server, *case.read_back)


def measure(server: Server, case: Case, quick: bool) -> Round:
    """Load one server once; the queues are new before and gone after."""
    amount = case.amount(quick)
    if case.fill is not None:
        load.run(server, *case.fill, *amount)
    load.settle()
    server.reset_peak_rss()
    figures = load.run(server, *case.options, *amount, generator=case.generator)
    return Round(figures, server.rss_bytes(), server.peak_rss_bytes())


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure our gateway beside RabbitMQ and ActiveMQ."
    )
    option = parser.add_argument
    option("--list", action="store_true", help="list the cases and end")
    option("--only", action="append", metavar="CASE", help="this case (repeatable)")
    option("--rounds", type=int, default=3, metavar="N", help="of each case on each server (3)")
    option("--quick", action="store_true", help="a fifth of each load")
    option("--servers", type=lambda text: text.split(","), default=INSTALLED, metavar="NAME,...")
    option("--json", type=Path, metavar="FILE", help="write the figures of every round")
    option("--data-root", type=Path, metavar="DIR", help="where both keep their data")
    option("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE",
           help="a setting of our gateway (repeatable)")  # fmt: skip
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - {case.name for case in CASES}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    if missing := set(arguments.servers) - set(INSTALLED):
        parser.error(f"not installed: {', '.join(sorted(missing))}")
    return arguments


def main() -> int:
    """Run what was asked for; 1 if anything failed."""
    arguments = parse_arguments()
    if arguments.list:
        for case in CASES:
            print(f"{case.name:28}{case.about}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    load.build()
    around = {**report.environment(), "rounds": arguments.rounds, "quick": arguments.quick}
    print(", ".join(f"{name} {value}" for name, value in around.items()))
    if RabbitMQ.name not in INSTALLED:
        print("rabbitmq-server is not installed: it is not measured.")
    if ActiveMQ.name not in INSTALLED:
        print(f"ActiveMQ Classic is not there: it is not measured. {ActiveMQ.HOW_TO_GET}")
    report.print_headings()
    results: Results = {}
    for case in CASES:
        if not arguments.only or case.name in arguments.only:
            results[case.name] = run_case(case, arguments)
            report.print_case(case, results[case.name])
    for line in report.many_queue_lines(results):
        print(line)
    if arguments.json is not None:
        arguments.json.write_text(report.as_json(results, around))
    failures = list(report.failure_lines(results))
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
