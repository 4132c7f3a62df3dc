"""The core's broker on a folder, driven by hand: turns, crashes (a copied folder), clean stops."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from core.broker import Broker
from core.light_queue import LightQueue
from core.options import BrokerOptions
from core.route import Route
from tests.support.disk import HeldDisk

ORIGIN = 7
SMALL = BrokerOptions(
    segment_size=1 << 12,
    cache_size=1 << 11,
    volatile_size=1 << 20,
    progress_flush_interval_s=0.0,
    checkpoint_distance=1 << 30,
)


class LiveBroker:
    """A started broker whose messages are their own stored form."""

    def __init__(self, directory: Path, options: BrokerOptions = SMALL, **changes: Any) -> None:
        self.directory = directory
        self.options = replace(options, **changes)
        self.clock = Clock()
        self.disk = HeldDisk()
        self.failures: list[BaseException] = []
        self.broker = Broker(
            directory, self.clock, self.disk.run, self.options, self.failures.append
        )
        self.broker.start({ORIGIN: bytes})

    def queue(self, id: int) -> LightQueue:
        return self.broker.queues[id]

    def declare(self, durable: bool = True) -> LightQueue:
        return self.broker.declare_queue([f"queue {len(self.broker.queues)}"] if durable else None)

    def append(
        self, target: Route | LightQueue | Sequence[Route], *messages: bytes, durable: bool = True
    ) -> None:
        """Append messages as one batch, all to one target or to one route each."""
        if isinstance(target, LightQueue):
            target = self.broker.route([target])
        routes = [target] * len(messages) if isinstance(target, Route) else list(target)
        sizes = list(map(len, messages))
        self.broker.append(ORIGIN, routes, sizes, [b"".join(messages)], list(messages), durable)

    def end_turn(self) -> None:
        self.broker.turn.end()

    def crash(
        self, end_turn: bool = True, meanwhile: Callable[[Path], None] = lambda directory: None
    ) -> LiveBroker:
        """Kill it, and start another one on a copy of what it left behind.

        `meanwhile` may do to the copy what else happened to the disk.
        """
        if end_turn:
            self.end_turn()
        to = _next_folder(self.directory)
        shutil.copytree(self.directory, to)
        self.kill()
        meanwhile(to)
        return LiveBroker(to, self.options)

    def restart(self) -> LiveBroker:
        """Stop it cleanly, and start another one on its folder."""
        self.broker.stop()
        return LiveBroker(self.directory, self.options)

    def kill(self) -> None:
        """Let go of the files as a killed process does."""
        kill(self.broker)


def is_alive(broker: Broker) -> bool:
    """Was it neither stopped nor killed?"""
    return broker._end_turn in broker.turn.journals


def kill(broker: Broker) -> None:
    """Let go of a broker's files as a killed process does."""
    broker.turn.journals.remove(broker._end_turn)
    store = broker._store
    journals = [broker._metadata._journal, broker._progress._journal]
    descriptors = [journal._fd for journal in journals if journal is not None]
    for log in (store.commit_log, store._spill, broker._index_log._log):
        if log is not None:
            descriptors += [segment.fd for segment in log.segments]
    for descriptor in descriptors:
        os.close(descriptor)


def take_all(queue: LightQueue) -> list[tuple[int, bytes, bool]]:
    """Everything that is ready goes in flight: offsets, messages, whether redelivered."""
    taken: list[tuple[int, bytes, bool]] = []
    while spans := queue.take(1000):
        for first_offset, messages, redelivered in spans:
            taken += [
                (offset, message, redelivered)
                for offset, message in enumerate(messages, first_offset)
            ]
    return taken


def bodies(queue: LightQueue) -> list[bytes]:
    """What is ready, in order; all of it is in flight then."""
    return [message for _, message, _ in take_all(queue)]


def cut_log(directory: Path, log_offset: int) -> None:
    """Let the commit log of a folder end here, as if nothing more had reached the disk."""
    for path in sorted((directory / "commitlog").iterdir())[::-1]:
        base = int(path.name)
        if base and base >= log_offset:
            path.unlink()
        else:
            os.truncate(path, min(path.stat().st_size, log_offset - base))


def damage_log(directory: Path, log_offset: int, change: int = 0xFF, size: int = 1) -> None:
    """Change bytes in the middle of the commit log of a folder."""
    paths = sorted((directory / "commitlog").iterdir())
    path = next(path for path in reversed(paths) if int(path.name) <= log_offset)
    with path.open("r+b") as file:
        file.seek(log_offset - int(path.name))
        damaged = bytes(byte ^ change for byte in file.read(size))
        file.seek(log_offset - int(path.name))
        file.write(damaged)


def _next_folder(directory: Path) -> Path:
    name, _, number = directory.name.partition("~")
    return directory.with_name(f"{name}~{int(number or 0) + 1}")
