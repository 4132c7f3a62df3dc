"""Run one example on two servers in step, and say where they first disagree."""

from __future__ import annotations

import secrets
from dataclasses import replace

from tests.differential.client import Connection
from tests.differential.differences import TABLE
from tests.differential.operations import Burst, Drop, Example, Operation, Settle, Step
from tests.differential.session import Session
from tests.differential.transcripts import Notes, check


class Pair:
    """The reference and us, for as many examples as you like."""

    def __init__(self, reference_port: int, our_port: int) -> None:
        self._ports = {"RabbitMQ": reference_port, "RosettaMQ": our_port}
        self._janitors = {name: Connection(port) for name, port in self._ports.items()}

    def run(self, example: Example) -> None:
        """Raises `DisagreementError`."""
        prefix = f"{example.policies}{secrets.token_hex(4)}-"
        theirs, ours = (
            Session(name, port, self._janitors[name], prefix) for name, port in self._ports.items()
        )
        transcript: list[str] = []
        try:
            for number, step in enumerate(example.steps, 1):
                resolved = _resolve(step, step.operation, theirs, ours)
                if resolved is None:
                    continue
                transcript.append(f"{number}. {step}")
                their_step, our_step = resolved
                their_notes, our_notes = theirs.run(their_step), ours.run(our_step)
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
    """Did a burst end in the same failure, or a connection with something still under way to it?

    What was set off before the end was delivered, or not: queues and channels are processes of
    RabbitMQ's, and nobody can rely on which one was faster.
    """
    replies = f"c{step.connection} replies"
    if theirs.get(replies) != ours.get(replies):
        return False
    said = "".join(theirs.get(replies, ()))
    if isinstance(step.operation, Burst):
        return ".close code=" in said
    is_end = isinstance(step.operation, Drop) or "connection.close" in said or "closed" in said
    own = f"c{step.connection}."
    return is_end and any(
        theirs.get(stream) != ours.get(stream)
        for stream in {*theirs, *ours}
        if stream.startswith(own)
    )


def _resolve(
    step: Step, operation: Operation, theirs: Session, ours: Session
) -> tuple[Step, Step] | None:
    """Put delivery tags for picked deliveries, each server's own; None if there are none."""
    if isinstance(operation, Burst):
        parts = [_resolve(step, each, theirs, ours) for each in operation.operations]
        pairs = [pair for pair in parts if pair is not None]
        return (
            replace(step, operation=Burst(tuple(their.operation for their, _ in pairs))),
            replace(step, operation=Burst(tuple(our.operation for _, our in pairs))),
        )
    if not isinstance(operation, Settle) or operation.tag is not None:
        single = replace(step, operation=operation)
        return single, single
    keys = theirs.outstanding_on(step)
    if not keys:
        return None
    key = keys[operation.pick % len(keys)]
    if theirs.upto(key) != ours.upto(key):
        # Two queues were not equally fast: the same tag is another message.
        operation = replace(operation, multiple=False)
    return (
        replace(step, operation=replace(operation, tag=theirs.outstanding[key])),
        replace(step, operation=replace(operation, tag=ours.outstanding[key])),
    )
