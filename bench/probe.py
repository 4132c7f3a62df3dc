"""How long others wait: a client that asks a small question again and again."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self

from bench import frames

_INTERVAL_S = 0.002
_TIMEOUT_S = 120.0
_QUEUE = "scale-probe"


class Probe:
    """A context manager: while it lasts, it asks for a queue of its own."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for said in (
            frames.PROTOCOL_HEADER,
            frames.START_OK,
            frames.TUNE_OK + frames.OPEN,
            frames.open_channel(),
            frames.declare(_QUEUE, frames.EXCLUSIVE),
        ):
            self._ask(said)
        self._question = frames.declare(_QUEUE, frames.PASSIVE)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.worst_s = 0.0
        self.error: OSError | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_TIMEOUT_S)
        self._socket.close()
        if self.error is not None and error is None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._ended.wait(_INTERVAL_S):
                started = time.monotonic()
                self._ask(self._question)
                self.worst_s = max(self.worst_s, time.monotonic() - started)
        except OSError as error:
            self.error = error

    def _ask(self, said: bytes) -> None:
        """Say it, and read the frame that answers it."""
        self._socket.sendall(said)
        answer = b""
        while len(answer) < 8 or len(answer) < int.from_bytes(answer[3:7], "big") + 8:
            data = self._socket.recv(1 << 16)
            if not data:
                raise OSError("the broker hung up on the probe")
            answer += data
