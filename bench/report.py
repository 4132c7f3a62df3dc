"""What a run of the comparison shows: the table, the price of many queues, and the JSON file."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from bench.activemq import ActiveMQ
from bench.cases import CASES, Case
from bench.load import Figures
from bench.servers import RabbitMQ, RosettaMQ

_MIB = 1 << 20
_COLUMNS = (
    ("case", max(len(case.name) for case in CASES)),
    ("server", 9),
    ("msg/s", 9),
    ("ratio", 9),
    ("CPU us/msg", 10),
    ("p50 us", 8),
    ("p99 us", 8),
    ("RSS MiB", 7),
    ("peak MiB", 8),
    ("generator", 9),
    ("others", 6),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One load on one server."""

    figures: Figures
    rss_bytes: int
    peak_rss_bytes: int


@dataclass(slots=True)
class Outcome:
    """All rounds of a case on one server, or why there are none."""

    rounds: list[Round]
    failure: str | None = None

    def median(self, name: str) -> float | None:
        """The median of one figure, if this case has it and did not fail."""
        values = [
            getattr(each if hasattr(each, name) else each.figures, name) for each in self.rounds
        ]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known and self.failure is None else None


Outcomes = dict[str, Outcome]  # by server
Results = dict[str, Outcomes]  # by case


def print_headings() -> None:
    """Print the first line of the table."""
    _print_row([heading for heading, _ in _COLUMNS])


def print_case(case: Case, outcomes: Outcomes) -> None:
    """Print the lines of one case, as soon as it is done: a run takes minutes."""
    for index, (name, outcome) in enumerate(outcomes.items()):
        _print_row(
            [
                case.name if index == 0 else "",
                name,
                _number(outcome.median("messages_per_s")),
                "FAILED" if outcome.failure else _ratio(case, outcomes, name),
                _number(outcome.median("broker_cpu_us"), digits=1),
                _number(outcome.median("p50_us")) if case.is_latency else "",
                _number(outcome.median("p99_us")) if case.is_latency else "",
                _number(outcome.median("rss_bytes"), unit=_MIB),
                _number(outcome.median("peak_rss_bytes"), unit=_MIB),
                _number(outcome.median("generator_cpu_share"), digits=2),
                _number(outcome.median("others_cpu_cores"), digits=2),
            ]
        )


def many_queue_lines(results: Results) -> Iterator[str]:
    """What 1,000 queues cost against one, if both were measured."""
    for case in CASES:
        if case.single_queue is None or case.single_queue not in results:
            continue
        for name, many in results.get(case.name, {}).items():
            single = results[case.single_queue][name]
            rate = _quotient(many, single, "messages_per_s")
            cpu = _quotient(many, single, "broker_cpu_us")
            if rate is not None and cpu is not None:
                pair = f"{case.name} / {case.single_queue}"
                yield f"{pair}, {name}: {rate:.2f}x msg/s, {cpu:.2f}x CPU per message"


def failure_lines(results: Results) -> Iterator[str]:
    """What failed, and why."""
    for case, outcomes in results.items():
        for name, outcome in outcomes.items():
            if outcome.failure is not None:
                yield f"{case}, {name}: {outcome.failure}"


def environment() -> dict[str, object]:
    """What the figures depend on besides the code."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rabbitmq": RabbitMQ.version(),
        "activemq": ActiveMQ.version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def as_json(results: Results, around: dict[str, object]) -> str:
    """Every round, so that other statistics than ours can be taken."""
    cases = {
        case: {name: asdict(outcome) for name, outcome in outcomes.items()}
        for case, outcomes in results.items()
    }
    return json.dumps({"environment": around, "cases": cases}, indent=2) + "\n"


def _ratio(case: Case, outcomes: Outcomes, theirs_name: str) -> str:
    """Ours over another's: messages per second, or the p99 where the rate is given."""
    theirs = outcomes[theirs_name]
    if theirs_name == RosettaMQ.name or RosettaMQ.name not in outcomes:
        return ""
    name = "p99_us" if case.is_latency else "messages_per_s"
    ratio = _quotient(outcomes[RosettaMQ.name], theirs, name)
    if ratio is None:
        return ""
    return f"p99 {ratio:.2f}x" if case.is_latency else f"{ratio:.2f}x"


def _quotient(numerator: Outcome, denominator: Outcome, name: str) -> float | None:
    above, below = numerator.median(name), denominator.median(name)
    return None if above is None or not below else above / below


def _number(value: float | None, digits: int = 0, unit: float = 1) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


def _print_row(cells: list[str]) -> None:
    """Names to the left, figures to the right."""
    parts = [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, (_, width)) in enumerate(zip(cells, _COLUMNS, strict=True))
    ]
    print("  ".join(parts).rstrip(), flush=True)
