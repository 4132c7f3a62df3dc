"""One turn of the broker: what one read, timer or flush set off, finished together.

Work is collected while a turn lasts and done once when it ends, in this order:
1. `dispatchers` (queues with something ready and someone to take it) deliver;
2. `journals` write down what was settled and delivered: one write for the whole turn;
3. `writers` (connections) send;
4. `flushes` begin.
(What comes alone to a queue where nothing waits may be delivered before, at once.)
So nothing is on a wire that a crash of the process could forget, and the cost of a write or a
system call is shared by all messages of the turn. Flushes come last: peers wait for their messages,
and the thread that is to wait for the disk would first want its share of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from core.errors import is_disk_full


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
        self.flushes: list[Callable[[], None]] = []
        self._ending = False
        self.wait_for_room: Callable[[OSError], None] | None = None
        self._unwritten = False  # Could the journals not be written?

    @property
    def is_stuck(self) -> bool:
        """Must nothing be delivered, because the last journals could not be written?"""
        return self._unwritten

    def end(self) -> None:
        """Finish everything that was collected, and what that sets off in turn.

        If a journal cannot be written, nothing is delivered or sent, by this call or a later one,
        until it can. That the disk is full is told to `wait_for_room`, and what was written before
        is flushed all the same; other errors are raised.
        """
        if self._ending:
            return
        self._ending = True
        dispatching: Iterator[Dispatcher] = iter(())
        writing: Iterator[Writer] = iter(())
        try:
            if self._unwritten:
                self._write_journals()
            while True:
                # One round only: what is left of a long queue waits until this has been written,
                # and comes next if the peer still takes it.
                dispatching, self.dispatchers = iter(self.dispatchers), {}
                for dispatcher in dispatching:
                    dispatcher.dispatch()
                self._write_journals()
                if self.writers:
                    writing, self.writers = iter(self.writers), {}
                    for writer in writing:
                        writer.flush()
                elif not self.dispatchers and not self._begin_flush():
                    break
        except BaseException as error:
            # One that fails must not cost the others theirs: they come first in the next turn.
            self.dispatchers = dict.fromkeys([*dispatching, *self.dispatchers])
            self.writers = dict.fromkeys([*writing, *self.writers])
            if not self._unwritten or not self._may_wait(error):
                raise
        finally:
            self._ending = False

    def _may_wait(self, error: BaseException) -> bool:
        if self.wait_for_room is None or not isinstance(error, OSError):
            return False
        if not is_disk_full(error):
            return False
        self.wait_for_room(error)
        while self._begin_flush():
            pass
        return True

    def _begin_flush(self) -> bool:
        """Begin one; was there any?"""
        if not self.flushes:
            return False
        self.flushes.pop()()
        return True

    def _write_journals(self) -> None:
        self._unwritten = True
        for write_journal in self.journals:
            write_journal()
        self._unwritten = False
