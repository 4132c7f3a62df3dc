"""What a front end is: the plug-in that the service finds under `rosettamq.protocols`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from gateway.gateway import Gateway
from gateway.messages import Language


@dataclass(frozen=True, slots=True)
class Listener:
    """One port that a front end wants opened; `name` is what the ready line calls it.

    Its factory is given a `Peer`, or the plain address of one (`gateway.service.peers.peer_at`).
    """

    name: str
    port: int
    factory: IProtocolFactory
    # "only": not opened unless TLS is configured; "too": the first octet tells who speaks it.
    tls: Literal["no", "only", "too"] = "no"
    # How long a peer may say nothing at all, where its first octet is waited for.
    silence_s: float = 10.0


class FrontEnd(Protocol):
    """One protocol, given the gateway and its own part of the configuration.

    Constructed once, before any listener is open, as `FrontEnd(gateway, section, clock)`.
    """

    section: ClassVar[str]  # The name of its configuration section: "amqp".
    config_class: ClassVar[type[Any]]  # A frozen dataclass: that section, with its defaults.
    languages: ClassVar[Sequence[Language]]  # In what forms it appends messages; may be empty.

    def __init__(self, gateway: Gateway, section: Any, clock: IReactorTime) -> None: ...

    def listeners(self) -> Sequence[Listener]:
        """The ports to open."""

    def listening(self, name: str, host: str, port: int) -> None:
        """The listener `name` is open, on this address."""

    def stop(self) -> None:
        """Say goodbye on every connection, in the protocol's own words, and close it."""
