"""Who is at the other end of a connection, and what it said of itself (connection.start-ok)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.connections import Ends
from gateway.service.peers import Peer


class Client:
    """One client; before it has introduced itself it is nobody, and understands nothing."""

    __slots__ = ("ends", "mechanism", "peer", "properties", "user")

    def __init__(self, peer: Peer, ends: Ends) -> None:
        self.peer = peer
        self.ends = ends
        self.mechanism = "PLAIN"  # With which it tried to log in.
        self.properties: Mapping[str, Any] = {}
        self.user = ""

    @property
    def has_certificate(self) -> bool:
        """Did TLS prove who it is?"""
        return self.peer.certificate_user is not None

    def understands(self, capability: str) -> bool:
        """Did it say that it does?"""
        capabilities = self.properties.get("capabilities")
        return isinstance(capabilities, dict) and bool(capabilities.get(capability))
