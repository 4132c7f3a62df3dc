"""Heartbeats as RabbitMQ keeps them: when to send one, when a peer is dead (AMQP 0-9-1, 4.2.7)."""

from __future__ import annotations

from math import inf

_IDLE_CHECKS_MAX = 2  # So a peer is dead after two to three intervals of silence.


class Heartbeats:
    """The two checks of one connection; whoever sends or receives says so in `sent`, `received`."""

    def __init__(self) -> None:
        self.sent = False
        self.received = False
        self._interval_s = 0.0
        self._send_check_at = inf
        self._receive_check_at = inf
        self._idle_checks_count = 0

    @property
    def interval_s(self) -> float:
        """What was agreed on; 0 is none."""
        return self._interval_s

    def agree(self, interval_s: float) -> None:
        """connection.tune-ok named the interval."""
        self._interval_s = interval_s

    def start(self, now: float) -> None:
        """The connection is open: both sides are watched from now on."""
        if self._interval_s:
            self._send_check_at = now + self._interval_s / 2
            self._receive_check_at = now + self._interval_s

    def next_deadline(self) -> float:
        """When to check next; infinity if never."""
        return min(self._send_check_at, self._receive_check_at)

    def is_due(self, now: float) -> bool:
        """Has nothing been sent for long enough that a heartbeat must be?"""
        if now < self._send_check_at:
            return False
        is_idle, self.sent = not self.sent, False
        self._send_check_at = now + self._interval_s / 2
        return is_idle

    def is_dead(self, now: float, is_read: bool) -> bool:
        """Has the peer been silent for too long? One that is not read from is not silent."""
        if now < self._receive_check_at:
            return False
        heard = self.received or not is_read
        self._idle_checks_count = 0 if heard else self._idle_checks_count + 1
        self.received = False
        self._receive_check_at = now + self._interval_s
        return self._idle_checks_count >= _IDLE_CHECKS_MAX
