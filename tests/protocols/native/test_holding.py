"""Long polls of one session, over attempts that do as they are told."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from protocols.native.holding import HeldRequest, HeldRequests
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand


class Told:
    """An attempt that succeeds once `has_come`."""

    full_code = ResponseCode.POLLING_FULL

    def __init__(self) -> None:
        self.has_come = False
        self.stir: Callable[[], None] | None = None

    def answer(self, is_last: bool) -> RemotingCommand | None:
        if self.has_come:
            return RemotingCommand(ResponseCode.SUCCESS)
        return RemotingCommand(ResponseCode.PULL_NOT_FOUND) if is_last else None

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        self.stir = stir
        return self.cancel

    def cancel(self) -> None:
        self.stir = None

    def abandon(self) -> None:
        self.has_come = False

    def refuse(self, refused: RemotingCommand) -> RemotingCommand:
        return refused


def hold(held: HeldRequests, opaque: int, deadline: float) -> Told:
    attempt = Told()
    held.add(HeldRequest(RemotingCommand(11, opaque=opaque), attempt, deadline))
    return attempt


def come(attempt: Told) -> None:
    attempt.has_come = True
    assert attempt.stir is not None
    attempt.stir()


def opaque_of(answered: tuple[RemotingCommand, RemotingCommand] | None) -> int | None:
    return None if answered is None else answered[0].opaque


def test_one_answer_is_taken_at_a_time() -> None:
    woken: list[None] = []
    held = HeldRequests(lambda: woken.append(None))
    attempts = [hold(held, opaque, 10) for opaque in range(3)]
    for attempt in attempts[1:]:
        come(attempt)
    assert len(woken) == 2
    assert [opaque_of(held.take_answered()) for _ in range(3)] == [1, 2, None]
    assert len(held) == 1


def test_the_first_to_end_ends_first() -> None:
    held = HeldRequests(lambda: None)
    attempts = [hold(held, opaque, deadline) for opaque, deadline in ((0, 3), (1, 1), (2, 2))]
    come(attempts[1])
    assert opaque_of(held.take_answered()) == 1
    assert held.next_deadline() == 2
    assert [opaque_of(held.take_expired(2)) for _ in range(2)] == [2, None]
    assert [held.next_deadline(), opaque_of(held.take_expired(5))] == [3, 0]
    assert held.next_deadline() is None


def test_paused_ones_wait_for_nothing_and_look_again() -> None:
    held = HeldRequests(lambda: None)
    attempt = hold(held, 0, 10)
    held.pause()
    assert attempt.stir is None
    attempt.has_come = True
    assert held.take_answered() is None
    held.resume()
    assert opaque_of(held.take_answered()) == 0


def test_those_that_are_answered_are_forgotten_before_their_time_is_over() -> None:
    """A busy client asks thousands of times a minute."""
    held = HeldRequests(lambda: None)
    hold(held, 0, 1000)
    attempts = []
    for opaque in range(1, 1000):
        attempt = hold(held, opaque, 60 + opaque)
        attempts.append(weakref.ref(attempt))
        come(attempt)
        del attempt
        assert opaque_of(held.take_answered()) == opaque
    assert sum(attempt() is not None for attempt in attempts) < 100
    assert held.next_deadline() == 1000
