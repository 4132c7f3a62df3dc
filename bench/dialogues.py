"""Many AMQP connections that all say the same: drives `amqp_dialogues.c`, which says how."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import IO, NamedTuple, Self

from bench import frames
from bench.load import DIALOGUES, LoadError, program_path
from bench.servers import Server

NUMBER = "######"  # In what is said: the number of the connection.
HANG_UP = (0, 0)  # The broker closes the socket.
_STEP = Struct(">IIHH")
_IN_FLIGHT = 200  # Requests of one connection that are not answered yet.


class Step(NamedTuple):
    """What a connection says, and how many answers of which method must come."""

    said: bytes
    answer: tuple[int, int] = HANG_UP
    count: int = 1


class Told(NamedTuple):
    """What the generator answers to a command: what it used itself, what was delivered so far."""

    cpu_seconds: float
    delivered: int


CONNECT = (
    Step(frames.PROTOCOL_HEADER, frames.START),
    Step(frames.START_OK, frames.TUNE),
    Step(frames.TUNE_OK + frames.OPEN, frames.OPEN_OK),
    Step(frames.open_channel(), frames.CHANNEL_OPEN_OK),
)
CLOSE = (Step(frames.CLOSE, frames.CLOSE_OK), Step(b""))


def ask_all(requests: Sequence[bytes], answer: tuple[int, int]) -> list[Step]:
    """Requests of which so many are under way at a time, and an answer to each."""
    some = [requests[at : at + _IN_FLIGHT] for at in range(0, len(requests), _IN_FLIGHT)]
    steps = [Step(b"".join(some[0]), answer, 0)] if some else []
    for before, after in zip(some, [*some[1:], []], strict=True):
        steps.append(Step(b"".join(after), answer, len(before)))
    return steps


class Dialogues:
    """The connections of one generator process; a context manager."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [str(program_path(DIALOGUES)), str(self._server.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def open(self, count: int, at_once: int, steps: Sequence[Step] = CONNECT) -> Told:
        """Open connections, and have each say this."""
        return self._say(f"open {count} {at_once}", steps)

    def say(self, at_once: int, steps: Sequence[Step]) -> Told:
        """Have all that are open say this."""
        return self._say(f"say {at_once}", steps)

    def drop(self) -> Told:
        """Close all sockets at once."""
        return self._command("drop")

    def count(self) -> Told:
        """How much was delivered so far?"""
        return self._command("count")

    def _say(self, command: str, steps: Sequence[Step]) -> Told:
        with tempfile.NamedTemporaryFile(prefix="rosettamq-dialogue-") as file:
            for said, answer, count in steps:
                file.write(_STEP.pack(len(said), count, *answer) + said)
            file.flush()
            return self._command(f"{command} {Path(file.name)}")

    def _command(self, command: str) -> Told:
        process = self._process
        assert process is not None
        try:
            _pipe(process.stdin).write(command + "\n")
            _pipe(process.stdin).flush()
        except BrokenPipeError:
            raise LoadError(_pipe(process.stderr).read().strip()) from None
        answer = _pipe(process.stdout).readline()
        if not answer:
            self._server.check_running()
            raise LoadError(_pipe(process.stderr).read().strip())
        return Told(**json.loads(answer))


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
