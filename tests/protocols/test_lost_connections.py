"""A connection that is lost goes at once, with all that its peer has sent.

The broker's garbage collector comes seldom: half frames would be kept for long, megabytes each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import encode_frame
from tests.support.amqp_peer import AmqpBroker
from tests.support.garbage import no_garbage_collector
from tests.support.native_peer import NativeBroker
from tests.support.stomp_peer import StompBroker, encode
from tests.support.websocket_peer import WebSocketPeer


def loses(protocol: Callable[[], Any]) -> bool:
    """Does nothing know of this Twisted protocol, or of its connection, once it is lost?"""
    with no_garbage_collector():
        lost = protocol()
        known = [ref(lost)]
        if getattr(lost, "_connection", None) is not None:
            known.append(ref(lost._connection))
        lost.connectionLost(None)
        lost.transport = None  # As Twisted does.
        del lost
        return all(each() is None for each in known)


def test_amqp(tmp_path: Path) -> None:
    broker = AmqpBroker(tmp_path)

    def publishing() -> Any:
        peer = broker.connect()
        peer.declare("q")
        peer.send(b"\1\0\1\0\0\xff\xffhalf")
        return peer.protocol

    assert loses(publishing)
    broker.stop()


@pytest.mark.parametrize("code", [RequestCode.PULL_MESSAGE, RequestCode.GET_ROUTEINFO_BY_TOPIC])
def test_native(tmp_path: Path, code: RequestCode) -> None:
    broker = NativeBroker(tmp_path)

    def asking() -> Any:
        is_broker = code == RequestCode.PULL_MESSAGE
        peer = broker.connect() if is_broker else broker.connect_name_server()
        peer.request(code, {"topic": "T"})
        peer.protocol.dataReceived(encode_frame(RemotingCommand(code, {}, b"x" * 99))[:-1])
        return peer.protocol

    assert loses(asking)
    broker.stop()


@pytest.mark.parametrize("has_gone_on", [False, True])
def test_stomp(tmp_path: Path, has_gone_on: bool) -> None:
    broker = StompBroker(tmp_path)

    def sending() -> Any:
        peer = broker.connect() if has_gone_on else broker.peer()
        if has_gone_on:
            peer.frame("SUBSCRIBE", destination="/queue/q", id="1", ack="client")
            peer.frame("SEND", b"one", destination="/queue/q")
            peer.frame("BEGIN", transaction="t")
        peer.send(encode("SEND", b"half", destination="/queue/q")[:-1])
        return peer.protocol

    def sending_in_a_websocket() -> Any:
        peer = WebSocketPeer(broker, deflate=True)
        peer.log_in() if has_gone_on else peer.open()
        peer.protocol.dataReceived(b"\x81\xfe\x0f\xff\0\0\0\0half")
        return peer.protocol

    assert loses(sending)
    assert loses(sending_in_a_websocket)
    broker.stop()
