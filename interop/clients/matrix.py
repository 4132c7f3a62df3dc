"""What the runs mean: ours beside RabbitMQ's, as a table for a terminal and for a document."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.table import Table

from interop.clients.runs import Outcome, Run


class Verdict(Enum):
    """What became of one scenario with one client."""

    OK = "ok"  # It holds, and the client saw the same on both.
    FAILED = "failed"  # It does not hold on our broker.
    DIFFERS = "differs"  # It holds, but the client saw something else than on RabbitMQ.
    ABSENT = "-"  # The client cannot say it, or was not asked to.


_COLOURS = {Verdict.OK: "green", Verdict.FAILED: "red", Verdict.DIFFERS: "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One client: why it was skipped, or its runs; there is a reference where RabbitMQ is."""

    client: str
    skipped: str = ""
    ours: Run | None = None
    reference: Run | None = None

    def verdict(self, scenario: str) -> Verdict:
        """What became of a scenario."""
        outcome = self.ours.outcomes.get(scenario) if self.ours else None
        if outcome is None:
            return Verdict.ABSENT
        if outcome.problem:
            return Verdict.FAILED
        reference = self._of_reference(scenario)
        if reference is not None and reference.seen != outcome.seen:
            return Verdict.DIFFERS
        return Verdict.OK

    def problems(self) -> list[str]:
        """Everything that is not as it should be, a line each."""
        lines = []
        for scenario in self.ours.outcomes if self.ours else ():
            outcome, reference = self._of_ours(scenario), self._of_reference(scenario)
            if reference is not None and reference.problem:
                lines.append(f"{scenario}: does not hold on RabbitMQ: {reference.problem}")
            if outcome.problem:
                lines.append(f"{scenario}: {outcome.problem}")
            elif self.verdict(scenario) is Verdict.DIFFERS and reference is not None:
                lines.append(f"{scenario}: saw {outcome.seen}; on RabbitMQ {reference.seen}")
        if self.ours and self.ours.problem:
            lines.append(self.ours.problem)
        if self.reference and self.reference.problem:
            lines.append(f"on RabbitMQ: {self.reference.problem}")
        return lines

    def _of_ours(self, scenario: str) -> Outcome:
        assert self.ours is not None
        return self.ours.outcomes[scenario]

    def _of_reference(self, scenario: str) -> Outcome | None:
        return self.reference.outcomes.get(scenario) if self.reference else None


def own_scenarios(rows: Sequence[Row], scenarios: Collection[str]) -> dict[str, list[str]]:
    """What programs do beyond the common table, by client."""
    own = {
        row.client: [name for name in row.ours.outcomes if name not in scenarios]
        for row in rows
        if row.ours
    }
    return {client: names for client, names in own.items() if names}


def _in_common(rows: Sequence[Row], scenarios: Iterable[str]) -> list[Row]:
    """Those that have some of the table's scenarios."""
    return [row for row in rows if row.ours and not row.ours.outcomes.keys().isdisjoint(scenarios)]


def make_table(rows: Sequence[Row], scenarios: Collection[str]) -> Table:
    """The matrix for a terminal: a scenario in each row, a client in each column."""
    shown = _in_common(rows, scenarios)
    table = Table("", *(row.client for row in shown))
    for scenario in scenarios:
        table.add_row(scenario, *(_mark(row.verdict(scenario)) for row in shown))
    return table


def _mark(verdict: Verdict) -> str:
    colour = _COLOURS.get(verdict)
    return f"[{colour}]{verdict.value}[/]" if colour else verdict.value


def make_document(rows: Sequence[Row], scenarios: Collection[str]) -> str:
    """The same in Markdown; below it which version each client is, and what it does further."""
    shown = _in_common(rows, scenarios)
    table = [("", *(row.client for row in shown)), ("---",) * (len(shown) + 1)]
    for scenario in scenarios:
        table.append((scenario, *(row.verdict(scenario).value for row in shown)))
    lines = [f"| {' | '.join(cells)} |" for cells in table] + [""]
    own = own_scenarios(rows, scenarios)
    for row in rows:
        told = [row.ours.library] if row.ours else [f"skipped: {row.skipped}"]
        told += [f"{name}: {row.verdict(name).value}" for name in own.get(row.client, ())]
        lines.append(f"- {row.client}: {'; '.join(told)}")
    return "\n".join(lines) + "\n"
