from __future__ import annotations

import pytest

from gateway.service.addresses import format_address, parse_address


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("127.0.0.1", 5672, "127.0.0.1:5672"), ("::1", 0, "[::1]:0"), ("mq", 65535, "mq:65535")],
)
def test_there_and_back(host: str, port: int, text: str) -> None:
    assert format_address(host, port) == text
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "mq", ":5672", "mq:", "mq:x", "mq:-1", "mq:65536"])
def test_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        parse_address(text)
