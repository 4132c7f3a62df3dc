"""STOMP's examples on two servers in step."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from tests.differential.brokers import Access
from tests.differential.compare import Pair, differs_where
from tests.differential.steps import Burst, Drop
from tests.differential.stomp.differences import TABLE
from tests.differential.stomp.operations import Operation, Settle, Step
from tests.differential.stomp.sequences import QUEUES
from tests.differential.stomp.session import Session
from tests.differential.transcripts import Notes


class StompPair(Pair[Step, Session]):
    """The reference and us."""

    table = TABLE

    def __init__(self, theirs: Access, ours: Access) -> None:
        self._accesses = theirs, ours

    def run(self, steps: Sequence[Step]) -> None:
        """Raises `DisagreementError`."""
        prefix = f"d{secrets.token_hex(4)}-"
        queues = [queue.removeprefix("~") for queue in QUEUES]
        self.compare(steps, *(Session(access, prefix, queues) for access in self._accesses))

    def is_cut_short(self, step: Step, theirs: Notes, ours: Notes) -> bool:
        answers = f"c{step.connection} answers"
        if theirs.get(answers) != ours.get(answers):
            return False
        is_end = isinstance(step.operation, Drop) or "closed" in theirs.get(answers, ())
        if isinstance(step.operation, Burst) and is_end:
            return True
        own = f"c{step.connection} sub", f"c{step.connection} receipts"
        return is_end and differs_where(theirs, ours, *own)

    def resolve(
        self, step: Step, operation: Operation, theirs: Session, ours: Session
    ) -> tuple[Operation, Operation] | None:
        if not isinstance(operation, Settle):
            return operation, operation
        keys = theirs.outstanding_on(step.connection)
        if not keys:
            return None
        key = keys[operation.pick % len(keys)]
        if key not in ours.outstanding or theirs.covered_by(key) != ours.covered_by(key):
            return None  # Two queues were not equally fast: the same tag is another message.
        their_settle, our_settle = (
            replace(operation, headers=(each.settle_header(key), *operation.headers))
            for each in (theirs, ours)
        )
        return their_settle, our_settle
