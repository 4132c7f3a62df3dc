"""Connections that say something else than HTTP, or too much of it."""

from __future__ import annotations

import pytest

from tests.support.http_peer import HttpBroker, encode_request

BAD = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01\x02\x00\x01", b"\0", b"\xff" * 9, b"{}", b" GET"]
)
def test_what_is_no_request_is_refused_at_once(broker: HttpBroker, octets: bytes) -> None:
    """Twisted waits for the end of the line: a TLS handshake has none."""
    channel, wire = broker.open()
    for octet in octets:
        channel.dataReceived(bytes([octet]))
    assert wire.value() == BAD
    assert wire.disconnecting


@pytest.mark.parametrize("head", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"A" * 20_000 + b"\r\n"])
def test_a_line_that_is_too_long_is_refused(broker: HttpBroker, head: bytes) -> None:
    channel, wire = broker.open()
    channel.dataReceived(head + b"a" * 20_000)
    channel.dataReceived(b"a" * 20_000)
    assert wire.value() == TOO_LONG
    assert wire.disconnecting


def test_empty_lines_may_come_first(broker: HttpBroker) -> None:
    assert broker.send(b"\r\n" + encode_request("GET", "overview")).startswith(b"HTTP/1.1 200 ")
