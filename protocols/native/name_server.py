"""The name server's front end: the port that RocketMQ clients ask for the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
from twisted.internet.interfaces import IReactorTime

from gateway.front_end import Listener
from gateway.gateway import Gateway
from gateway.messages import Language
from gateway.service.peers import Peer
from protocols.transport import ConnectionTransport

from .connection import NativeConnection
from .front_end import RemotingFactory
from .rights import DEFAULT_USER, Rights
from .topic_routes import NameServerSession


@dataclass(frozen=True, slots=True)
class NameServerConfig:
    """The section `name_server`."""

    port: int = 9876
    # Whether TLS is spoken on this port, too, if `[tls]` has a certificate.
    tls: bool = True
    # Whose rights all clients have: they hear of topics that it may read or write.
    user: str = DEFAULT_USER
    # A client that asks nothing for so long is hung up on; clients ask every 30 s.
    idle_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    # Questions are short.
    frame_size_max: Annotated[int, msgspec.Meta(ge=1024, le=1 << 30)] = 1024 * 1024


class NameServerFrontEnd:
    """The embedded name server; it stores nothing."""

    section: ClassVar[str] = "name_server"
    config_class: ClassVar[type[NameServerConfig]] = NameServerConfig
    languages: ClassVar[Sequence[Language]] = ()

    def __init__(self, gateway: Gateway, section: NameServerConfig, clock: IReactorTime) -> None:
        self._gateway = gateway
        self._config = section
        self._rights = Rights(gateway, section.user)
        self._factory = RemotingFactory(
            gateway, clock, section.idle_timeout_s, section.frame_size_max, self._make_session
        )

    def listeners(self) -> Sequence[Listener]:
        """The one port."""
        config = self._config
        tls: Literal["too", "no"] = "too" if config.tls else "no"
        return [Listener("name_server", config.port, self._factory, tls, config.idle_timeout_s)]

    def listening(self, name: str, host: str, port: int) -> None:
        """Nobody needs to be told: clients are configured with it."""

    def stop(self) -> None:
        """Hang up."""
        self._factory.close_connections()

    def _make_session(
        self, connection: NativeConnection, transport: ConnectionTransport, peer: Peer
    ) -> NameServerSession:
        def local_host() -> str:
            local = transport.transport.getHost() if transport.transport is not None else None
            return str(getattr(local, "host", "127.0.0.1"))

        return NameServerSession(self._gateway, self._rights, connection, peer.host, local_host)
