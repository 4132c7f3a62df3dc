"""Who is on the other end of a connection, as a front end is told when it makes one."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IAddress
from zope.interface import implementer


@implementer(IAddress)
@dataclass(frozen=True, slots=True)
class Peer:
    """Where a peer comes from, and which user its certificate speaks for.

    `host` is what a proxy announced, if one did; "" is no address that anyone knows.
    """

    host: str
    port: int = 0
    certificate_user: str | None = None  # Only from a certificate that was verified.
    tls: bool = False  # Does it come in TLS?


def peer_at(address: IAddress | None) -> Peer:
    """The peer behind an address, which may be one already."""
    if isinstance(address, Peer):
        return address
    return Peer(str(getattr(address, "host", "")), int(getattr(address, "port", 0)))
