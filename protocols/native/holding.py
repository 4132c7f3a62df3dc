"""Long polls: requests that wait for a message, or for their deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rosettamq.remoting.command import RemotingCommand

from .replies import RefusalError, refusal


class Attempt(Protocol):
    """A request that can be tried again and again."""

    def answer(self, is_last: bool) -> RemotingCommand | None:
        """Try once; None to wait on, which the last attempt must not say."""

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Call `stir` when another attempt is worth it; return what ends that."""

    def abandon(self) -> None:
        """The client is gone: give back what was taken for it."""

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
        """The client is gone."""
        self._stop_watching()
        self._attempt.abandon()

    def _stop_watching(self) -> None:
        cancel, self._cancel_watch = self._cancel_watch, None
        if cancel is not None:
            cancel()


class HeldRequests:
    """All long polls of one session."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._held: dict[HeldRequest, None] = {}
        self._stirred: dict[HeldRequest, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: HeldRequest) -> None:
        """Let a request wait that has just been tried in vain."""
        held.watch(self._stir)
        self._held[held] = None

    def take_answered(self) -> list[tuple[RemotingCommand, RemotingCommand]]:
        """Try again what something has come for; return requests with their answers."""
        stirred, self._stirred = self._stirred, {}
        answered = []
        for held in stirred:
            if held in self._held:
                response = held.answer(False, self._stir)
                if response is not None:
                    del self._held[held]
                    answered.append((held.request, response))
        return answered

    def next_deadline(self) -> float | None:
        """When the first of them has waited long enough."""
        return min((held.deadline for held in self._held), default=None)

    def take_expired(self, now: float) -> list[tuple[RemotingCommand, RemotingCommand]]:
        """Try those for the last time that have waited long enough."""
        answered = []
        for held in [held for held in self._held if held.deadline <= now]:
            del self._held[held]
            response = held.answer(True, self._stir)
            assert response is not None
            answered.append((held.request, response))
        return answered

    def abandon(self) -> None:
        """The client is gone."""
        held_requests, self._held = self._held, {}
        self._stirred.clear()
        for held in held_requests:
            held.abandon()

    def _stir(self, held: HeldRequest) -> None:
        self._stirred[held] = None
        self._wake()
