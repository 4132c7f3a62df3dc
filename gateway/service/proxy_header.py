"""The header that a proxy puts before a connection, where Twisted's reader does not suffice."""

from __future__ import annotations

from typing import Self

from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory
from twisted.protocols.policies import WrappingFactory

_SIZE_MIN = 16  # Of what Twisted wants to see first.
_TEXT = b"PROXY "  # How version 1 begins; a line.
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # How version 2 begins.
_UNKNOWN = b"PROXY UNKNOWN\r\n"


class ProxyHeader(HAProxyProtocolWrapper):
    """Reads headers that come in pieces, and the one with which HAProxy checks whether we live.

    Twisted wants the first 16 octets at once, and a space behind `UNKNOWN`.
    """

    def __init__(self, factory: WrappingFactory[Self], wrapped: IProtocol) -> None:
        super().__init__(factory, wrapped)
        self._first: bytes | None = b""  # What came, until it is enough for Twisted.

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Twisted: bytes came; the header is the first of them."""
        if self._first is not None:
            data = self._first + data
            if data.startswith(_UNKNOWN):
                data = data.replace(b"\r\n", b" \r\n", 1)
            elif _is_short(data):
                self._first = data
                return
            self._first = None
        super().dataReceived(data)


def expect_header(factory: IProtocolFactory) -> IProtocolFactory:
    """Have every connection of this factory begin with a header."""
    expecting = HAProxyWrappingFactory(factory)
    expecting.protocol = ProxyHeader  # type: ignore[assignment]
    return expecting


def _is_short(data: bytes) -> bool:
    """May this become a header, and has not yet enough of it?"""
    if len(data) >= _SIZE_MIN:
        return False
    is_text = _TEXT.startswith(data[: len(_TEXT)]) and not data.endswith(b"\r\n")
    return is_text or _SIGNATURE.startswith(data[: len(_SIGNATURE)])
