"""A socket that is not read unless a test reads it, and a TLS client on its other end."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure


class SlowSocket(StringTransport):
    """Pauses its producer, as TCP does, when more than `bufferSize` waits to be read."""

    bufferSize = 1 << 16  # noqa: N815

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40_000))
        self.no_delay = False
        self._full = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None and not self._full and len(self.value()) > self.bufferSize:
            self._full = True
            self.producer.pauseProducing()

    def take(self) -> bytes:
        """What the peer reads: everything; then there is room again."""
        data: bytes = self.value()
        self.clear()
        if self._full:
            self._full = False
            if self.producer is not None:
                self.producer.resumeProducing()
        return data

    @property
    def is_reading(self) -> bool:
        return self.producerState == "producing"

    @property
    def is_closed(self) -> bool:
        return bool(self.disconnecting or self.disconnected)


class TlsClient:
    """A peer that speaks TLS to `protocol`, by the standard library's own hand."""

    def __init__(self, protocol: IProtocol, context: ssl.SSLContext, hello: bytes = b"") -> None:
        self.protocol: Any = protocol
        self.socket = SlowSocket()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.protocol.makeConnection(self.socket)
        if hello:
            self.protocol.dataReceived(hello)

    def shake_hands(self) -> None:
        """Raises `ssl.SSLError` if the server will not."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._exchange()
            else:
                self._exchange()
                return

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._exchange()

    def receive(self) -> bytes:
        """Everything that has come, or that comes while this is read."""
        received = []
        while True:
            self._incoming.write(self.socket.take())
            try:
                while data := self._tls.read(1 << 16):
                    received.append(data)
                return b"".join(received)  # The server's goodbye.
            except ssl.SSLWantReadError:
                if not self.socket.value():
                    return b"".join(received)

    def say_goodbye(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass
        self._exchange()

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionError()))

    @property
    def server_certificate(self) -> bytes:
        certificate = self._tls.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate

    def _exchange(self) -> None:
        if outgoing := self._outgoing.read():
            self.protocol.dataReceived(outgoing)
        self._incoming.write(self.socket.take())


def client_context(authority: Path, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context
