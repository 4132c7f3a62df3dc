"""The command line against a broker behind a fake network: its calls are answered by the API."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest
from click.testing import CliRunner, Result

from gateway.__main__ import main
from gateway.cli import client
from protocols.amqp.codec import encode_properties
from tests.support.http_peer import HttpBroker, parse_reply


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HttpBroker]:
    broker = HttpBroker(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def run(broker: HttpBroker, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def urlopen(request: Request, timeout: float) -> Any:
        content: Any = request.data or b""
        lines = [f"{request.get_method()} {request.selector} HTTP/1.1", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in request.header_items()]
        lines += [f"Content-Length: {len(content)}", "", ""]
        reply = parse_reply(broker.send("\r\n".join(lines).encode() + content))
        body = io.BytesIO(reply.content)
        if reply.status >= 400:
            raise HTTPError(request.full_url, reply.status, "refused", Message(), body)
        return body

    monkeypatch.setattr(client, "urlopen", urlopen)

    def run(*arguments: str, fails: bool = False, **environment: str) -> Result:
        result = CliRunner().invoke(main, arguments, env=environment)
        assert (result.exit_code != 0) == fails, result.output
        return result

    return run


def test_queues_and_bindings(run: Callable[..., Result], broker: HttpBroker) -> None:
    run("queues", "declare", "orders [new]", "--arguments", '{"x-max-length": 5}')
    run("exchanges", "declare", "shop", "topic", "--transient")
    run("bindings", "add", "shop", "orders [new]", "order.*")
    run("bindings", "add", "shop", "amq.fanout", "--to-exchange")
    listed = run("queues", "list").output
    assert "orders [new]" in listed
    assert '{"x-max-length": 5, "x-queue-type": "classic"}' in listed
    assert "order.*" in run("bindings", "list").output
    assert json.loads(run("exchanges", "list", "--json").output)[-1]["durable"] is False
    run("bindings", "delete", "shop", "orders [new]", "order.*")
    run("queues", "purge", "orders [new]")
    run("queues", "delete", "orders [new]")
    run("exchanges", "delete", "shop")
    assert not broker.virtual_host.queues


def test_users_and_permissions(run: Callable[..., Result], broker: HttpBroker) -> None:
    run("users", "put", "ada", "--new-password", "secret", "--tags", "management")
    run("vhosts", "put", "shop", "--description", "orders")
    run("permissions", "set", "ada", "^ada-", "", "--vhost", "shop")
    assert "^ada-" in run("permissions", "list").output
    assert "management" in run("users", "list").output
    assert "orders" in run("vhosts", "list").output
    as_ada = {"ROSETTAMQ_USER": "ada", "ROSETTAMQ_PASSWORD": "secret", "ROSETTAMQ_VHOST": "shop"}
    run("queues", "declare", "ada-1", **as_ada)
    refused = run("queues", "declare", "bob-1", fails=True, **as_ada)
    assert "configure access to queue 'bob-1' in vhost 'shop' refused" in refused.output
    run("permissions", "clear", "ada", "--vhost", "shop")
    run("vhosts", "delete", "shop")
    run("users", "delete", "ada")
    assert "not found" in run("users", "delete", "ada", fails=True).output.lower()


def test_connections(run: Callable[..., Result], broker: HttpBroker) -> None:
    peer = broker.connect()
    (connection,) = json.loads(run("connections", "list", "--json").output)
    assert "AMQP 0-9-1" in run("connections", "list").output
    run("connections", "close", connection["name"], "--reason", "enough")
    assert peer.receive().failure[2] == "CONNECTION_FORCED - enough"


def test_definitions(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    run("queues", "declare", "q")
    run("definitions", "export", str(file))
    assert json.loads(run("definitions", "export", "--vhost", "/").output)["queues"]
    run("queues", "delete", "q")
    run("definitions", "import", str(file))
    assert "q" in run("queues", "list").output
    file.write_text("{")
    assert "no JSON" in run("definitions", "import", str(file), fails=True).output


def test_what_goes_wrong(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Login failed (401)" in run("users", "list", "--password", "no", fails=True).output
    assert "http://" in run("users", "list", "--url", "nowhere", fails=True).output
    for arguments in ("{", "[]"):
        refused = run("queues", "declare", "q", "--arguments", arguments, fails=True)
        assert "no JSON" in refused.output

    def unreachable(request: Request, timeout: float) -> Any:
        raise URLError("Connection refused")

    monkeypatch.setattr(client, "urlopen", unreachable)
    expected = "Error: cannot reach http://127.0.0.1:15672: Connection refused\n"
    assert run("users", "list", fails=True).output == expected


def test_what_cannot_be_asked_or_written(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run("users", "list", "--url", "http://[::1", fails=True)
    assert refused.output == "Error: http://[::1 is no URL: Invalid IPv6 URL\n"
    refused = run("users", "delete", "caf\udce9", fails=True)  # As no terminal writes it.
    assert "the path is not UTF-8" in refused.output
    assert "(401)" in run("users", "list", "--password", "\udce9", fails=True).output
    for command in (("definitions", "export"), ("queues", "list", "--json")):
        with monkeypatch.context() as patch:
            patch.setattr(json, "dump", full)
            patch.setattr("gateway.cli.output.show_rows", full)
            refused = run(*command, fails=True)
            assert refused.output == "Error: cannot write: No space left on device\n"


def full(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_delayed_messages(run: Callable[..., Result], broker: HttpBroker) -> None:
    peer = broker.connect()
    peer.declare("q")
    for delay_ms in (1000, 2000, 3000):
        properties = encode_properties({"headers": {"x-rosetta-delay": delay_ms}})
        peer.publish("q", b"body", properties)
    listed = run("delayed", "list", "--count", "2").output
    assert "2023-11-14 22:13:21.000" in listed
    first, second = (line.split()[0] for line in listed.splitlines()[1:3])
    assert f"of 3; more with --after {second}" in listed
    run("delayed", "cancel", first, second)
    refused = run("delayed", "cancel", first, fails=True)
    assert f"Not Found: delayed / {first} (404)" in refused.output
    answer = json.loads(run("delayed", "list", "--json").output)
    assert [item["routing_key"] for item in answer["items"]] == ["q"]
    later = run("delayed", "list", "--after", answer["items"][0]["id"]).output
    assert len(later.splitlines()) == 1


def test_policies(run: Callable[..., Result], broker: HttpBroker) -> None:
    run("queues", "declare", "orders")
    run("policies", "put", "short", "^orders$", '{"max-length": 5}', "--priority", "3")
    run("policies", "put", "limit", "", '{"max-length": 2}', "--operator", "--apply-to", "queues")
    assert "^orders$" in run("policies", "list").output
    listed = json.loads(run("policies", "list", "--operator", "--json").output)
    assert [(each["name"], each["apply-to"]) for each in listed] == [("limit", "queues")]
    assert broker.virtual_host.queues["orders"].options.max_length == 2
    run("policies", "delete", "limit", "--operator")
    run("policies", "delete", "short")
    assert broker.virtual_host.queues["orders"].options.max_length is None
    refused = run("policies", "put", "p", "", '{"odd": 1}', fails=True)
    assert "not recognised policy settings" in refused.output
