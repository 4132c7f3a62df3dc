"""Run one example on two servers in step, and say where they first disagree."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from tests.differential import client as amqp
from tests.differential.stomp.differences import TABLE
from tests.differential.stomp.operations import Burst, Drop, Operation, Settle, Step
from tests.differential.stomp.sequences import QUEUES
from tests.differential.stomp.session import Session
from tests.differential.transcripts import Notes, check


class Pair:
    """The reference and us: for each its port, and AMQP's, for as many examples as you like."""

    def __init__(self, reference: tuple[int, int], ours: tuple[int, int]) -> None:
        self._ports = {"RabbitMQ": reference[0], "RosettaMQ": ours[0]}
        self._janitors = {
            "RabbitMQ": amqp.Connection(reference[1]),
            "RosettaMQ": amqp.Connection(ours[1]),
        }

    def run(self, steps: Sequence[Step]) -> None:
        """Raises `DisagreementError`."""
        prefix = f"d{secrets.token_hex(4)}-"
        queues = [queue.removeprefix("~") for queue in QUEUES]
        theirs, ours = (
            Session(name, port, self._janitors[name], prefix, queues)
            for name, port in self._ports.items()
        )
        transcript: list[str] = []
        try:
            for number, step in enumerate(steps, 1):
                resolved = _resolve(step, step.operation, theirs, ours)
                if resolved is None:
                    continue
                transcript.append(f"{number}. {step}")
                their_notes, our_notes = theirs.run(resolved[0]), ours.run(resolved[1])
                if _is_cut_short(step, their_notes, our_notes):
                    return
                if check(TABLE, their_notes, our_notes, transcript):
                    return
            transcript.append("at the end")
            check(TABLE, theirs.finish(), ours.finish(), transcript)
        finally:
            theirs.clean_up()
            ours.clean_up()

    def close(self) -> None:
        for janitor in self._janitors.values():
            janitor.close()


def _is_cut_short(step: Step, theirs: Notes, ours: Notes) -> bool:
    """Did a connection end in the same way, with something still under way to it?

    What was set off before the end was delivered and confirmed, or not: nobody can rely on which
    process of RabbitMQ's was faster.
    """
    answers = f"c{step.connection} answers"
    if theirs.get(answers) != ours.get(answers):
        return False
    is_end = isinstance(step.operation, Drop) or "closed" in theirs.get(answers, ())
    if isinstance(step.operation, Burst) and is_end:
        return True
    own = (f"c{step.connection} sub", f"c{step.connection} receipts")
    return is_end and any(
        theirs.get(stream) != ours.get(stream)
        for stream in {*theirs, *ours}
        if stream.startswith(own)
    )


def _resolve(
    step: Step, operation: Operation, theirs: Session, ours: Session
) -> tuple[Step, Step] | None:
    """Put each server's own name for a picked delivery; None if there is none."""
    if isinstance(operation, Burst):
        parts = [_resolve(step, each, theirs, ours) for each in operation.operations]
        pairs = [pair for pair in parts if pair is not None]
        return (
            replace(step, operation=Burst(tuple(their.operation for their, _ in pairs))),
            replace(step, operation=Burst(tuple(our.operation for _, our in pairs))),
        )
    if not isinstance(operation, Settle):
        single = replace(step, operation=operation)
        return single, single
    keys = theirs.outstanding_on(step.connection)
    if not keys:
        return None
    key = keys[operation.pick % len(keys)]
    if key not in ours.outstanding or theirs.covered_by(key) != ours.covered_by(key):
        return None  # Two queues were not equally fast: the same tag is another message.
    settles = (
        replace(operation, headers=(each.settle_header(key), *operation.headers))
        for each in (theirs, ours)
    )
    their_settle, our_settle = settles
    return replace(step, operation=their_settle), replace(step, operation=our_settle)
