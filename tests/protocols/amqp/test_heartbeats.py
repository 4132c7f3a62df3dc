from __future__ import annotations

from math import inf

from protocols.amqp.heartbeats import Heartbeats


def agreed(interval_s: float = 10.0) -> Heartbeats:
    heartbeats = Heartbeats()
    heartbeats.agree(interval_s)
    heartbeats.start(100.0)
    return heartbeats


def test_none_are_sent_or_missed_where_none_were_agreed_on() -> None:
    heartbeats = agreed(0.0)
    assert heartbeats.next_deadline() == inf
    assert not heartbeats.is_due(1e9)
    assert not heartbeats.is_dead(1e9, is_read=True)


def test_one_is_due_after_half_an_interval_without_a_word() -> None:
    heartbeats = agreed()
    assert heartbeats.next_deadline() == 105.0
    assert not heartbeats.is_due(104.9)
    assert heartbeats.is_due(105.0)
    heartbeats.sent = True
    assert not heartbeats.is_due(110.0)
    assert heartbeats.is_due(115.0)


def test_a_peer_is_dead_after_two_silent_checks() -> None:
    heartbeats = agreed()
    assert not heartbeats.is_dead(110.0, is_read=True)
    heartbeats.received = True
    assert not heartbeats.is_dead(120.0, is_read=True)
    assert not heartbeats.is_dead(130.0, is_read=True)
    assert heartbeats.is_dead(140.0, is_read=True)


def test_a_peer_that_is_not_read_from_is_not_silent() -> None:
    heartbeats = agreed()
    assert not heartbeats.is_dead(110.0, is_read=False)
    assert not heartbeats.is_dead(120.0, is_read=False)
    assert not heartbeats.is_dead(130.0, is_read=True)
    assert heartbeats.is_dead(140.0, is_read=True)
