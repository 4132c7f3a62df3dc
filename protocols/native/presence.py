"""A client in the gateway's list of connections, from its first request on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.connections import ChannelFacts, ConnectionFacts, Ends
from rosettamq.remoting.command import RemotingCommand

from .rights import Rights


class Presence:
    """What others see of a client; the protocol has no channels, and nothing to log in with."""

    def __init__(
        self, rights: Rights, ends: Ends, connected_at: float, close: Callable[[], None]
    ) -> None:
        self._rights = rights
        self._ends = ends
        self._connected_at = connected_at
        self._close = close
        self._is_entered = False
        self._client_properties: Mapping[str, str] = {}

    def enter(self, request: RemotingCommand) -> None:
        """A client asks for something. Raises `LoginRefusedError`, `NotAllowedError`."""
        if not self._is_entered:
            self._rights.open(self, self._ends.peer_host)
            self._is_entered = True
            self._client_properties = {
                "product": "RocketMQ",
                "platform": request.language.name,
                "version": str(request.version),
            }

    def leave(self) -> None:
        """The client is gone."""
        self._rights.close(self)

    def facts(self) -> ConnectionFacts:
        """What does not change while it is open."""
        return ConnectionFacts(
            "RocketMQ",
            self._ends,
            self._connected_at,
            auth_mechanism="",
            client_properties=self._client_properties,
        )

    def channel_facts(self) -> Sequence[ChannelFacts]:
        """There are none."""
        return ()

    def force_close(self, reason: str) -> None:
        """Hang up: the protocol has no words for why."""
        self._close()
