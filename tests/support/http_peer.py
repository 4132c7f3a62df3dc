"""An HTTP client for tests: real octets through Twisted's channel to a real gateway."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from protocols.amqp.config import AmqpConfig
from protocols.http.front_end import HttpConfig, HttpFrontEnd
from protocols.http.language import HTTP
from tests.support.amqp_peer import AmqpBroker


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class HttpBroker(AmqpBroker):
    """A broker with an AMQP and an HTTP front end."""

    languages = (*AmqpBroker.languages, HTTP)

    def __init__(self, folder: Path, http_config: HttpConfig | None = None) -> None:
        self.http_config = http_config or HttpConfig()
        super().__init__(folder, AmqpConfig())

    def _start(self) -> None:
        super()._start()
        self.http = HttpFrontEnd(self.gateway, self.http_config, self.clock)
        self.site = self.http.listeners()[0].factory

    def open(self, host: str = "127.0.0.1") -> tuple[Any, StringTransport]:
        """A channel of Twisted's, and its wire."""
        wire = StringTransport(peerAddress=IPv4Address("TCP", host, 50_000))
        channel: Any = self.site.buildProtocol(IPv4Address("TCP", host, 50_000))
        channel.makeConnection(wire)
        return channel, wire

    def send(self, octets: bytes, host: str = "127.0.0.1") -> bytes:
        """What is answered on a connection of its own."""
        channel, wire = self.open(host)
        channel.dataReceived(octets)
        self.clock.advance(0)  # Some answers take a while.
        return wire.value()  # type: ignore[no-any-return]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "guest",
        password: str = "guest",
        host: str = "127.0.0.1",
        headers: str = "",
    ) -> Reply:
        """One request; `path` is what comes after `/api/`."""
        octets = encode_request(method, path, body, user, password, headers)
        return parse_reply(self.send(octets, host))

    def get(self, path: str, **options: Any) -> Any:
        """The JSON of a GET that must succeed."""
        reply = self.call("GET", path, **options)
        assert reply.status == 200, reply
        return reply.json


def encode_request(
    method: str,
    path: str,
    body: Any = None,
    user: str = "guest",
    password: str = "guest",
    headers: str = "",
) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    credentials = b64encode(f"{user}:{password}".encode()).decode()
    head = (
        f"{method} /api/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Basic {credentials}\r\n{headers}"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def parse_reply(octets: bytes) -> Reply:
    head, _, content = octets.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(status.split()[1]), headers, content)
