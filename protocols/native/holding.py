"""Long polls: requests that wait for a message, or for their deadline."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Protocol

from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand

from .replies import RefusalError, refusal


class Attempt(Protocol):
    """A request that can be tried again and again."""

    @property
    def full_code(self) -> ResponseCode:
        """With what it is refused when too many wait already: in a moment there may be room."""

    def answer(self, is_last: bool) -> RemotingCommand | None:
        """Try once; None to wait on, which the last attempt must not say."""

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Call `stir` when another attempt is worth it; return what ends that."""

    def abandon(self) -> None:
        """Give back what was taken for the client, as it does not read, or is gone."""

    def refuse(self, refused: RemotingCommand) -> RemotingCommand:
        """Complete the answer that says what went wrong."""


class HeldRequest:
    """One long poll of one session."""

    def __init__(self, request: RemotingCommand, attempt: Attempt, deadline: float) -> None:
        self.request = request
        self.deadline = deadline
        self._attempt = attempt
        self._cancel_watch: Callable[[], None] | None = None

    def watch(self, stir: Callable[[HeldRequest], None]) -> None:
        """Wait until another attempt is worth it."""
        self._cancel_watch = self._attempt.watch(lambda: stir(self))

    def answer(self, is_last: bool, stir: Callable[[HeldRequest], None]) -> RemotingCommand | None:
        """Try again, and wait on if None comes back."""
        self._stop_watching()
        try:
            response = self._attempt.answer(is_last)
            if response is None:
                self.watch(stir)
        except RefusalError as error:
            return self._attempt.refuse(refusal(error))
        return response

    def abandon(self) -> None:
        """Wait for nothing; the next attempt begins anew."""
        self._stop_watching()
        self._attempt.abandon()

    def _stop_watching(self) -> None:
        cancel, self._cancel_watch = self._cancel_watch, None
        if cancel is not None:
            cancel()


Answered = tuple[RemotingCommand, RemotingCommand]  # A request, and its answer.


class HeldRequests:
    """All long polls of one session.

    One answer is taken at a time, as each may be large, and the peer may not read.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._held: dict[HeldRequest, None] = {}
        self._stirred: dict[HeldRequest, None] = {}
        self._due: dict[HeldRequest, None] = {}  # Stirred before those, and tried first.
        self._deadlines: list[tuple[float, int, HeldRequest]] = []  # A heap; some are answered.
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: HeldRequest) -> None:
        """Let a request wait that has just been tried in vain."""
        held.watch(self._stir)
        self._held[held] = None
        heapq.heappush(self._deadlines, (held.deadline, next(self._numbers), held))

    def take_answered(self) -> Answered | None:
        """Try again what something has come for, until one of them is answered.

        None when all have been tried. Those that are stirred by that come the next time.
        """
        if not self._due:
            self._due, self._stirred = self._stirred, {}
        while self._due:
            held = next(iter(self._due))
            del self._due[held]
            if held in self._held:
                response = held.answer(False, self._stir)
                if response is not None:
                    self._remove(held)
                    return held.request, response
        return None

    def next_deadline(self) -> float | None:
        """When the first of them has waited long enough."""
        while self._deadlines and self._deadlines[0][2] not in self._held:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def take_expired(self, now: float) -> Answered | None:
        """Try one for the last time that has waited long enough, if there is any."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return None
        held = self._deadlines[0][2]
        self._remove(held)
        response = held.answer(True, self._stir)
        assert response is not None
        return held.request, response

    def pause(self) -> None:
        """Let others have what comes meanwhile; time goes on."""
        for held in self._held:
            held.abandon()

    def resume(self) -> None:
        """See what has come meanwhile."""
        for held in self._held:
            self._stir(held)

    def abandon(self) -> None:
        """The client is gone."""
        self.pause()
        for requests in (self._held, self._stirred, self._due, self._deadlines):
            requests.clear()

    def _remove(self, held: HeldRequest) -> None:
        del self._held[held]
        if len(self._deadlines) > 2 * len(self._held) + 64:
            self._deadlines = [entry for entry in self._deadlines if entry[2] in self._held]
            heapq.heapify(self._deadlines)

    def _stir(self, held: HeldRequest) -> None:
        self._stirred[held] = None
        self._wake()
