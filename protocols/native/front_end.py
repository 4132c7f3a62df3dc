"""The native front end: RocketMQ's remoting protocol, as a broker."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from core.name_server import MASTER_ID, BrokerEntry
from gateway.connections import Ends
from gateway.front_end import Listener
from gateway.gateway import Gateway
from gateway.messages import Language
from gateway.service.addresses import parse_address
from gateway.service.peers import Peer, peer_at
from protocols.transport import ConnectionTransport
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.ids import Address
from rosettamq.remoting.records import NO_HOST

from . import acknowledging, admin, heartbeats, offsets, popping, pulling, retrying, sending
from .broker import BROKER_NAME, CLUSTER_NAME, Broker, Limits
from .connection import NativeConnection, Session
from .language import NATIVE
from .rights import DEFAULT_USER, Rights
from .session import NativeSession, Operation

OPERATIONS: Mapping[int, Operation] = {
    RequestCode.SEND_MESSAGE: sending.send_message,
    RequestCode.SEND_MESSAGE_V2: sending.send_message,
    RequestCode.SEND_BATCH_MESSAGE: sending.send_message,
    RequestCode.VIEW_MESSAGE_BY_ID: sending.view_message_by_id,
    RequestCode.PULL_MESSAGE: pulling.pull_message,
    RequestCode.LITE_PULL_MESSAGE: pulling.pull_message,
    RequestCode.POP_MESSAGE: popping.pop_message,
    RequestCode.ACK_MESSAGE: acknowledging.ack_message,
    RequestCode.BATCH_ACK_MESSAGE: acknowledging.batch_ack_message,
    RequestCode.CHANGE_MESSAGE_INVISIBLETIME: acknowledging.change_invisible_time,
    RequestCode.QUERY_CONSUMER_OFFSET: offsets.query_consumer_offset,
    RequestCode.UPDATE_CONSUMER_OFFSET: offsets.update_consumer_offset,
    RequestCode.GET_MAX_OFFSET: offsets.get_max_offset,
    RequestCode.GET_MIN_OFFSET: offsets.get_min_offset,
    RequestCode.SEARCH_OFFSET_BY_TIMESTAMP: offsets.search_offset,
    RequestCode.HEART_BEAT: heartbeats.heart_beat,
    RequestCode.UNREGISTER_CLIENT: heartbeats.unregister_client,
    RequestCode.CHECK_CLIENT_CONFIG: heartbeats.check_client_config,
    RequestCode.GET_CONSUMER_LIST_BY_GROUP: heartbeats.get_consumer_list,
    RequestCode.CONSUMER_SEND_MSG_BACK: retrying.send_back,
    RequestCode.LOCK_BATCH_MQ: heartbeats.lock_queues,
    RequestCode.UNLOCK_BATCH_MQ: heartbeats.unlock_queues,
    RequestCode.UPDATE_AND_CREATE_TOPIC: admin.create_topic,
    RequestCode.GET_BROKER_RUNTIME_INFO: admin.get_broker_runtime_info,
    RequestCode.GET_BROKER_CONFIG: admin.get_broker_config,
}


@dataclass(frozen=True, slots=True)
class NativeConfig:
    """The section `native`: the port of the broker, and what one client may ask for."""

    port: int = 10911
    # Whether TLS is spoken on this port, too, if `[tls]` has a certificate.
    tls: bool = True
    # The host:port that the name server tells clients; "" means where the port is open.
    advertised_address: str = ""
    # Whose rights all clients have: the protocol has no login here.
    user: str = DEFAULT_USER
    # A client that sends nothing for so long is gone; clients send a heartbeat every 30 s.
    idle_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    # RocketMQ's own limits: 4 MiB a message, 16 MiB a frame.
    message_size_max: Annotated[int, msgspec.Meta(ge=1)] = 4 * 1024 * 1024
    frame_size_max: Annotated[int, msgspec.Meta(ge=1024, le=1 << 30)] = 16 * 1024 * 1024
    # An answer to a pull or pop holds at least one message, and no further one past this.
    answer_size_max: Annotated[int, msgspec.Meta(ge=1)] = 256 * 1024
    # How long a long poll may wait at most, and how many a connection may have.
    suspend_max_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    held_requests_max: Annotated[int, msgspec.Meta(ge=0)] = 1024
    # Popped messages of one group on one queue that are not acknowledged.
    in_flight_max: Annotated[int, msgspec.Meta(ge=1)] = 10_000

    def __post_init__(self) -> None:
        if self.advertised_address:
            try:
                parse_address(self.advertised_address)
            except ValueError as error:
                raise ValueError(f"advertised_address: {error}") from None

    def limits(self) -> Limits:
        """What one client may ask for."""
        return Limits(
            message_size_max=self.message_size_max,
            answer_size_max=self.answer_size_max,
            suspend_max_s=self.suspend_max_s,
            held_requests_max=self.held_requests_max,
            in_flight_max=self.in_flight_max,
        )


class RemotingFactory(ServerFactory):
    """Make a connection for each client, and know those that are open."""

    noisy = False

    def __init__(
        self,
        gateway: Gateway,
        clock: IReactorTime,
        idle_timeout_s: float,
        frame_size_max: int,
        make_session: Callable[[NativeConnection, ConnectionTransport, Peer], Session],
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._idle_timeout_s = idle_timeout_s
        self._frame_size_max = frame_size_max
        self._make_session = make_session
        self._connections: dict[NativeConnection, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> ConnectionTransport:  # noqa: N802
        """Twisted: a client connects."""
        transport = ConnectionTransport(self._gateway.turn, self._clock, self._gateway.broker)
        connection = NativeConnection(
            transport.wake,
            self._clock.seconds(),
            self._idle_timeout_s,
            self._frame_size_max,
        )
        connection.attach(self._make_session(connection, transport, peer_at(addr)))
        transport.attach(connection, lost=lambda: self._connections.pop(connection, None))
        self._connections[connection] = None
        return transport

    def close_connections(self) -> None:
        """Hang up on everyone, after what is queued for them."""
        for connection in list(self._connections):
            connection.close()
        self._gateway.turn.end()


class NativeFrontEnd:
    """RocketMQ clients, as they are."""

    section: ClassVar[str] = "native"
    config_class: ClassVar[type[NativeConfig]] = NativeConfig
    languages: ClassVar[Sequence[Language]] = (NATIVE,)

    def __init__(self, gateway: Gateway, section: NativeConfig, clock: IReactorTime) -> None:
        self._gateway = gateway
        self._config = section
        rights = Rights(gateway, section.user)
        self._broker = Broker(gateway, clock, rights, section.limits())
        self._host, self._port = "", section.port  # Where we listen.
        self._store_host: Address | None = None  # Unknown if the port is open on all interfaces.
        self._factory = RemotingFactory(
            gateway, clock, section.idle_timeout_s, section.frame_size_max, self._make_session
        )

    def listeners(self) -> Sequence[Listener]:
        """The broker's one port: whoever begins with a ClientHello speaks TLS on it."""
        config = self._config
        tls: Literal["too", "no"] = "too" if config.tls else "no"
        return [Listener("native", config.port, self._factory, tls, config.idle_timeout_s)]

    def listening(self, name: str, host: str, port: int) -> None:
        """Tell the name server where clients find us."""
        self._host, self._port = host, port
        self._store_host = _fixed_store_host(self._config.advertised_address, host, port)
        self._broker.positions.store_host = self._store_host or NO_HOST
        shown = f"[{host}]" if ":" in host else host
        advertised = self._config.advertised_address or f"{shown}:{port}"
        self._gateway.name_server.register(
            BrokerEntry(BROKER_NAME, CLUSTER_NAME, {MASTER_ID: advertised})
        )

    def stop(self) -> None:
        """Hang up: the protocol has no goodbye; clients ask for the route again."""
        self._gateway.name_server.unregister(BROKER_NAME)
        self._factory.close_connections()
        self._broker.invisible.stop()

    def _make_session(
        self, connection: NativeConnection, transport: ConnectionTransport, peer: Peer
    ) -> NativeSession:
        def store_host() -> Address:
            return self._store_host or (_local_host(transport), self._port)

        ends = Ends(peer.host, peer.port, self._host, self._port, peer.tls)
        return NativeSession(
            self._broker, connection, OPERATIONS, ends, store_host, transport.throttle
        )


def _fixed_store_host(advertised: str, host: str, port: int) -> Address | None:
    """Our address in offset message ids, which clients dial: an IP address, never a name."""
    shown, _, shown_port = advertised.rpartition(":")
    if _is_ip(shown.strip("[]")) and shown_port.isdecimal():
        return shown.strip("[]"), int(shown_port)
    if _is_ip(host) and not ipaddress.ip_address(host).is_unspecified:
        return host, port
    return None


def _local_host(transport: ConnectionTransport) -> str:
    local = None if transport.transport is None else transport.transport.getHost()
    return str(getattr(local, "host", "127.0.0.1"))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
