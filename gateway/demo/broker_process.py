"""A broker in a process of its own, on free ports: for the demonstration and for harnesses."""

from __future__ import annotations

import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.demo.sample import Address
from gateway.service.addresses import parse_address

READY_S = 20.0  # Includes recovery of whatever the data folder holds.
STOP_S = 20.0

_FREE_PORTS = (
    "amqp.port=0",
    "stomp.port=0",
    "stomp.websocket_port=0",
    "native.port=0",
    "name_server.port=0",
    "http.port=0",
)


class BrokerFailedError(Exception):
    """The broker did not start, or not in time; the text ends with its own words."""


def serve_command(data_dir: Path, settings: Sequence[str]) -> list[str]:
    """The command that starts a broker on free ports, but for what the settings say."""
    command = [sys.executable, "-m", "gateway", "serve", "--data-dir", str(data_dir)]
    for setting in (*_FREE_PORTS, *settings):
        command += ["--set", setting]
    return command


class BrokerProcess:
    """A running broker; `addresses` are those of its ready line, by name."""

    def __init__(self, data_dir: Path, settings: Sequence[str] = ()) -> None:
        """Start it and wait until it is ready; raises `BrokerFailedError`."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            serve_command(data_dir, settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            self.addresses = _parse_ready_line(self._read_ready_line())
        except BaseException:
            self.kill()
            raise

    def _read_ready_line(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            readable = selector.select(READY_S)
        line = self.process.stdout.readline().decode() if readable else ""
        if line.startswith("rosettamq ready "):
            return line
        raise BrokerFailedError(f"the broker is not ready: {line}\n{self.log()}")

    def log(self) -> str:
        """What it wrote to stderr so far."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def stop(self) -> int:
        """Stop it cleanly; returns its exit code. One that does not stop in time is killed."""
        self.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return self.kill()

    def terminate(self) -> None:
        """Ask it to stop, and do not wait for it."""
        self.process.terminate()

    def kill(self) -> int:
        """Kill it as a crash would; it gets no chance to write anything."""
        self.process.kill()
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


def _parse_ready_line(line: str) -> dict[str, Address]:
    addresses = {}
    for word in line.split()[2:]:
        name, _, address = word.partition("=")
        addresses[name] = parse_address(address)
    return addresses
