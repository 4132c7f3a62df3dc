"""One turn of the broker: what one read, timer or flush set off, finished together.

Work is collected while a turn lasts and done once when it ends, in this order:
1. `dispatchers` (queues with something ready and someone to take it) deliver;
2. `journals` write down what was settled and delivered: one write for the whole turn;
3. `writers` (connections) send.
So nothing is on a wire that a crash of the process could forget, and the cost of a write or a
system call is shared by all messages of the turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol


class Dispatcher(Protocol):
    """Something with messages to hand out."""

    def dispatch(self) -> None:
        """Deliver what can be delivered now."""


class Writer(Protocol):
    """Something with bytes to send."""

    def flush(self) -> None:
        """Send them."""


class Turn:
    """The work that the current turn still owes. Dicts serve as ordered sets."""

    def __init__(self) -> None:
        self.dispatchers: dict[Dispatcher, None] = {}
        self.writers: dict[Writer, None] = {}
        self.journals: list[Callable[[], None]] = []
        self._ending = False

    def end(self) -> None:
        """Finish everything that was collected, and what that sets off in turn."""
        if self._ending:
            return
        self._ending = True
        dispatching: Iterator[Dispatcher] = iter(())
        writing: Iterator[Writer] = iter(())
        try:
            while True:
                # One round only: what is left of a long queue waits until this has been written,
                # and comes next if the peer still takes it.
                dispatching, self.dispatchers = iter(self.dispatchers), {}
                for dispatcher in dispatching:
                    dispatcher.dispatch()
                for write_journal in self.journals:
                    write_journal()
                if not self.writers and not self.dispatchers:
                    break
                writing, self.writers = iter(self.writers), {}
                for writer in writing:
                    writer.flush()
        except BaseException:
            # One that fails must not cost the others theirs: they come first in the next turn.
            self.dispatchers = dict.fromkeys([*dispatching, *self.dispatchers])
            self.writers = dict.fromkeys([*writing, *self.writers])
            raise
        finally:
            self._ending = False
