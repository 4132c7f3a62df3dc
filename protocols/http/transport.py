"""A connection that speaks HTTP, or says something else and is told so."""

from __future__ import annotations

import re

from twisted.web.http import HTTPChannel

# What a method may begin with, and the empty lines that may come before it (RFC 9112, 2.2).
_BEGINNING = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z\r\n-]")


class ApiChannel(HTTPChannel):
    """Twisted's for HTTP/1.1, which says nothing where a line is too long or never ends.

    A TLS handshake has no line at all: a client that was given https for http would wait a minute.
    """

    _has_begun = False
    _is_refused = False

    def dataReceived(self, data: bytes) -> None:
        """Twisted: octets have come."""
        if not (self._has_begun or _BEGINNING.match(data)):
            self._refuse(b"400 Bad Request")
        self._has_begun = True
        if not self._is_refused:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """Twisted: the request line or a header is too long."""
        self._refuse(b"431 Request Header Fields Too Large")

    def _refuse(self, status: bytes) -> None:
        assert self.transport is not None
        self._is_refused = True
        self.transport.write(b"HTTP/1.1 %s\r\nConnection: close\r\n\r\n" % status)
        self.loseConnection()  # type: ignore[no-untyped-call]
