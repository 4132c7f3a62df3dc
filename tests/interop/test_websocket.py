"""STOMP over WebSocket with unchanged clients: stomp.py, and stompjs in Node where it is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
import stomp
from stomp.utils import Frame

from gateway.demo.broker_process import BrokerProcess
from interop.websocket.clients import are_packages_installed, run_in_node

pytestmark = pytest.mark.interop
WAIT_S = 10.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("data")) as broker:
        yield broker


class Inbox(stomp.ConnectionListener):
    def __init__(self) -> None:
        self.frames: SimpleQueue[Frame] = SimpleQueue()

    def on_message(self, frame: Frame) -> None:
        self.frames.put(frame)

    def on_receipt(self, frame: Frame) -> None:
        self.frames.put(frame)


def test_stomp_py(broker: BrokerProcess) -> None:
    connection = stomp.WSStompConnection(
        [broker.addresses["ws"]], vhost="/", ws_path="/ws", heartbeats=(1_000, 1_000)
    )
    inbox = Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect("guest", "guest", wait=True)
    connection.subscribe("/queue/ws", id="1", ack="client-individual")
    connection.send("/queue/ws", "h\N{EURO SIGN}llo")
    frame = inbox.frames.get(timeout=WAIT_S)
    assert frame.body == "h\N{EURO SIGN}llo"
    connection.ack(frame.headers["ack"])
    connection.disconnect(receipt="bye")
    assert inbox.frames.get(timeout=WAIT_S).cmd == "RECEIPT"


def test_stompjs_in_node(broker: BrokerProcess) -> None:
    if not (shutil.which("node") and are_packages_installed()):
        pytest.skip("needs node, and `make interop-websocket` once")
    results = run_in_node(broker.addresses["ws"], compressed=True)
    assert len(results) > 10
    assert [result for result in results if result.problem] == []
