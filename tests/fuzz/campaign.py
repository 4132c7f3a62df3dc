"""One mutated conversation after another with a real gateway, of whatever protocol."""

from __future__ import annotations

import random
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Protocol

from gateway.vhosts.virtual_host import VirtualHost

BYSTANDER = "bystander"
STILL_HERE = b"still here"


class Connection(Protocol):
    """What a conversation was held with."""

    closed: bool
    state: Enum


class Fuzzer(ABC):
    """A broker, a bystander, and the conversations; `outcomes` counts how those ended."""

    def __init__(self, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._seed = seed

    @abstractmethod
    def converse(self, choose: random.Random) -> None:
        """One conversation. Raises what should not be."""

    @abstractmethod
    def tidy(self) -> None:
        """Nothing is left behind, and the bystander has noticed nothing."""

    def run(self, number: int) -> None:
        """The conversation of this number; now and then, see to what is left."""
        self.converse(random.Random(f"{self._seed} {number}"))
        if number % 100 == 0:
            self.tidy()

    def fuzz(self, count: int, progress: Callable[[int], None]) -> dict[str, int]:
        """Run `count` conversations; return how many came to which end."""
        for number in range(count):
            try:
                self.run(number)
            except BaseException:
                sys.stderr.write(f"seed {self._seed}, conversation {number}\n")
                raise
            if number % 10_000 == 9_999:
                progress(number + 1)
        self.tidy()
        return self.outcomes

    def ended(self, connection: Connection) -> None:
        """A conversation is over."""
        self.outcomes["closed" if connection.closed else connection.state.name.lower()] += 1


def delete_queues(host: VirtualHost) -> None:
    """All but the bystander's; nobody must be left who uses one."""
    for name, queue in list(host.queues.items()):
        if name != BYSTANDER:
            assert (queue.consumer_count, queue.unsettled_count) == (0, 0), name
            assert not queue.exclusive, name
            host.delete_queue(name)


def do_nothing() -> None:
    """Nobody waits for a wake or a throttle here."""


Fuzz = Callable[[Path, int, int, Callable[[int], None]], dict[str, int]]


def main(fuzz: Fuzz) -> None:
    """The command line: a seed, and how many conversations."""
    seed, count = (int(argument) for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        outcomes = fuzz(Path(folder), seed, count, lambda done: print(done, "conversations"))
    print(f"{count} conversations: {dict(outcomes)}")
