"""Who must be heard how often (STOMP 1.1, Heart-beating; numbers and margins as RabbitMQ's)."""

from __future__ import annotations

from protocols.stomp.errors import processing_error

# A peer is dead after so many of its intervals in silence (RabbitMQ: two to three).
_SILENT_INTERVALS = 2.5
_GRANTED_MS_MAX = 4_294_967_000


class HeartBeats:
    """Who must be heard how often; an interval of 0 means never.

    Ours are due every half interval in which nothing was sent, so that the whole interval never
    passes in silence.
    """

    def __init__(self, send_ms: int, receive_ms: int, now: float) -> None:
        self.send_ms = send_ms
        self.receive_ms = receive_ms
        self.spoken = False  # Something was sent since `is_due` looked last.
        self.deaf = False  # Nothing is read from the peer, its beats included.
        self.excused = False  # Nothing was read for a while since the peer was last heard.
        self._beat_at = now + send_ms / 2_000
        self._heard_at = now

    @classmethod
    def negotiate(cls, header: str, now: float) -> HeartBeats:
        """Answer a CONNECT's `heart-beat`: each number as it is, but at least a second, or 0."""
        parts = header.split(",")
        try:
            client_ms, server_ms = (int(part) for part in parts)
        except ValueError:
            raise processing_error() from None
        return cls(_granted_ms(server_ms), _granted_ms(client_ms), now)

    def heard(self, now: float) -> None:
        """Something arrived."""
        self._heard_at = now
        self.excused = False

    def next_deadline(self) -> float | None:
        """When there is something to do next."""
        silent_at = self._heard_at + _SILENT_INTERVALS * self.receive_ms / 1_000
        if self.send_ms and self.receive_ms:
            return min(self._beat_at, silent_at)
        if self.send_ms:
            return self._beat_at
        return silent_at if self.receive_ms else None

    def peer_is_dead(self, now: float) -> bool:
        """Whether nothing came for too long, though we listened."""
        if (
            not self.receive_ms
            or now < self._heard_at + _SILENT_INTERVALS * self.receive_ms / 1_000
        ):
            return False
        if self.deaf or self.excused:
            self.heard(now)
            return False
        return True

    def is_due(self, now: float) -> bool:
        """Whether to send a beat now."""
        if not self.send_ms or now < self._beat_at:
            return False
        self._beat_at = now + self.send_ms / 2_000
        spoken, self.spoken = self.spoken, False
        return not spoken


def _granted_ms(asked_ms: int) -> int:
    if asked_ms <= 0:
        return 0
    return min(max(asked_ms, 1_000) // 1_000 * 1_000, _GRANTED_MS_MAX)
