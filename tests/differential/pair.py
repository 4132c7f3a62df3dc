"""AMQP's examples on two servers in step."""

from __future__ import annotations

import secrets
from dataclasses import replace

from tests.differential.brokers import Access
from tests.differential.compare import Pair, differs_where
from tests.differential.differences import TABLE
from tests.differential.operations import Example, Manage, Operation, Settle, Step
from tests.differential.session import Session
from tests.differential.steps import Burst, Drop
from tests.differential.transcripts import Notes


class AmqpPair(Pair[Step, Session]):
    """The reference and us."""

    table = TABLE

    def __init__(self, theirs: Access, ours: Access) -> None:
        self._accesses = theirs, ours

    def run(self, example: Example) -> None:
        """Raises `DisagreementError`."""
        prefix = f"{example.policies}{secrets.token_hex(4)}-"
        self.compare(example.steps, *(Session(access, prefix) for access in self._accesses))

    def is_cut_short(self, step: Step, theirs: Notes, ours: Notes) -> bool:
        replies = f"c{step.connection} replies"
        if theirs.get(replies) != ours.get(replies):
            return False
        said = "".join(theirs.get(replies, ()))
        if isinstance(step.operation, Burst):
            return ".close code=" in said
        is_end = isinstance(step.operation, Drop) or "connection.close" in said or "closed" in said
        is_end = is_end or (isinstance(step.operation, Manage) and step.operation.drops)
        return is_end and differs_where(theirs, ours, f"c{step.connection}.")

    def resolve(
        self, step: Step, operation: Operation, theirs: Session, ours: Session
    ) -> tuple[Operation, Operation] | None:
        if not isinstance(operation, Settle) or operation.tag is not None:
            return operation, operation
        keys = theirs.outstanding_on(step)
        if not keys:
            return None
        key = keys[operation.pick % len(keys)]
        if theirs.upto(key) != ours.upto(key):
            # Two queues were not equally fast: the same tag is another message.
            operation = replace(operation, multiple=False)
        return (
            replace(operation, tag=theirs.outstanding[key]),
            replace(operation, tag=ours.outstanding[key]),
        )
