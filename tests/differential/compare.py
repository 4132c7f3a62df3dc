"""Run one example on two servers in step, and say where they first disagree: for any protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from tests.differential.steps import Burst
from tests.differential.table import Table
from tests.differential.transcripts import Notes, check


class AnyStep(Protocol):
    """Who does what."""

    @property
    def operation(self) -> Any: ...


class AnySession(Protocol):
    """One server's side of an example."""

    def run(self, step: Any, operation: Any) -> Notes:
        """Do a step, with `operation` for its own; note everything that follows from it."""

    def finish(self) -> Notes:
        """End all connections; note what is left."""

    def clean_up(self) -> None:
        """Delete all that the example may have made."""


StepT = TypeVar("StepT", bound=AnyStep)
SessionT = TypeVar("SessionT", bound=AnySession)


class Pair(ABC, Generic[StepT, SessionT]):
    """The reference and us, for as many examples as you like."""

    table: Table

    def compare(self, steps: Sequence[StepT], theirs: SessionT, ours: SessionT) -> None:
        """Raises `DisagreementError`."""
        transcript: list[str] = []
        try:
            for number, step in enumerate(steps, 1):
                resolved = self._resolve(step, step.operation, theirs, ours)
                if resolved is None:
                    continue
                transcript.append(f"{number}. {step}")
                their_notes, our_notes = theirs.run(step, resolved[0]), ours.run(step, resolved[1])
                if self.is_cut_short(step, their_notes, our_notes):
                    return
                if check(self.table, their_notes, our_notes, transcript):
                    return
            transcript.append("at the end")
            check(self.table, theirs.finish(), ours.finish(), transcript)
        finally:
            theirs.clean_up()
            ours.clean_up()

    @abstractmethod
    def resolve(
        self, step: StepT, operation: Any, theirs: SessionT, ours: SessionT
    ) -> tuple[Any, Any] | None:
        """The operation in the words of each: a delivery has other names on the other server.

        None if what it is about does not exist.
        """

    @abstractmethod
    def is_cut_short(self, step: StepT, theirs: Notes, ours: Notes) -> bool:
        """Did both end something in the same way, with more still under way to it?

        What was set off before the end was delivered, or not: queues and channels are processes of
        RabbitMQ's, and nobody can rely on which one was faster.
        """

    def _resolve(
        self, step: StepT, operation: Any, theirs: SessionT, ours: SessionT
    ) -> tuple[Any, Any] | None:
        if not isinstance(operation, Burst):
            return self.resolve(step, operation, theirs, ours)
        parts = [self._resolve(step, each, theirs, ours) for each in operation.operations]
        pairs = [pair for pair in parts if pair is not None]
        return Burst(tuple(their for their, _ in pairs)), Burst(tuple(our for _, our in pairs))


def differs_where(theirs: Notes, ours: Notes, *beginnings: str) -> bool:
    """Does a stream differ whose name begins in one of these ways?"""
    return any(
        theirs.get(stream) != ours.get(stream)
        for stream in {*theirs, *ours}
        if stream.startswith(beginnings)
    )
