"""A real broker and its HTTP API: what a management client does, with pika beside it."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

from gateway.demo.broker_process import BrokerProcess
from gateway.service.addresses import format_address

pytestmark = pytest.mark.interop


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path) as broker:
        yield broker


def call(broker: BrokerProcess, method: str, path: str, body: Any = None) -> Any:
    url = f"http://{format_address(*broker.addresses['http'])}/api/{path}"
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, method=method)
    request.add_header("Authorization", "Basic " + b64encode(b"guest:guest").decode())
    with urlopen(request, timeout=20) as response:
        answer = response.read()
    return json.loads(answer) if answer else None


def connect(broker: BrokerProcess, user: str, password: str, host: str) -> Any:
    credentials = pika.PlainCredentials(user, password)
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            *broker.addresses["amqp"], virtual_host=host, credentials=credentials
        )
    )


def wait(connection: Any) -> None:
    """Until something is wrong with it, or in vain."""
    for _ in range(20):
        connection.process_data_events(time_limit=1)


def test_a_tenant_from_beginning_to_end(broker: BrokerProcess) -> None:
    """As Terraform sets one up; then its application works; then it is removed."""
    call(broker, "PUT", "vhosts/shop", {"description": "orders"})
    call(broker, "PUT", "users/ada", {"password": "secret", "tags": ""})
    everything = {"configure": "^ada-", "write": ".*", "read": ".*"}
    call(broker, "PUT", "permissions/shop/ada", everything)
    connection = connect(broker, "ada", "secret", "shop")
    channel = connection.channel()
    channel.queue_declare("ada-orders", durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", "ada-orders", b"order 1")
    with pytest.raises(ChannelClosedByBroker, match="configure access to queue 'bob-orders'"):
        connection.channel().queue_declare("bob-orders")
    queue = call(broker, "GET", "queues/shop/ada-orders")
    assert (queue["messages"], queue["durable"]) == (1, True)
    (shown,) = call(broker, "GET", "connections")
    assert (shown["user"], shown["client_properties"]["product"]) == (
        "ada",
        "Pika Python Client Library",
    )
    call(broker, "DELETE", f"connections/{quote(shown['name'], safe='')}")
    with pytest.raises(ConnectionClosedByBroker, match="Closed via management plugin"):
        wait(connection)
    connection._impl.ioloop.close()  # pika leaves that to those who close it themselves.
    call(broker, "DELETE", "vhosts/shop")
    call(broker, "DELETE", "users/ada")
    assert [user["name"] for user in call(broker, "GET", "users")] == ["guest"]
    with pytest.raises(HTTPError, match="404") as caught:
        call(broker, "GET", "queues/shop/ada-orders")
    caught.value.close()


def test_the_command_line(broker: BrokerProcess) -> None:
    url = f"http://{format_address(*broker.addresses['http'])}"

    def rosettamq(*arguments: str) -> str:
        command = [sys.executable, "-m", "gateway", *arguments, "--url", url]
        return run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    rosettamq("queues", "declare", "orders")
    assert [queue["name"] for queue in json.loads(rosettamq("queues", "list", "--json"))] == [
        "orders"
    ]


def test_what_was_defined_survives(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        call(broker, "PUT", "users/ada", {"password": "secret", "tags": ""})
        call(broker, "PUT", "permissions/%2F/ada", {"configure": "", "write": "", "read": ""})
        call(broker, "PUT", "queues/%2F/q", {})
        broker.process.kill()
        broker.process.wait()
    with BrokerProcess(tmp_path) as broker:
        connect(broker, "ada", "secret", "/").close()
        assert call(broker, "GET", "queues/%2F/q")["durable"]
