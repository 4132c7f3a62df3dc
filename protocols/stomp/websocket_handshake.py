"""The HTTP request that opens a WebSocket (RFC 6455, 4.2): who may come in, and as whom.

wsproto reads the request and checks what makes it an upgrade. Ours is the rest: the path, the
page that it comes from, the subprotocol, HTTP Basic, and the limits.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.utilities import ProtocolError, RemoteProtocolError

from protocols.stomp.codec import to_text
from protocols.stomp.config import StompConfig
from protocols.stomp.websocket_deflate import LimitedDeflate

PATH = b"/ws"
SUBPROTOCOLS = ("v12.stomp", "v11.stomp", "v10.stomp")  # The best first.
_ENDS = (b"\r\n\r\n", b"\n\n")


class HandshakeRefusedError(Exception):
    """The peer does not get in; `answer` is the HTTP response that tells it why."""

    def __init__(self, status: HTTPStatus, reason: str, *headers: str) -> None:
        super().__init__(reason)
        lines = [
            f"HTTP/1.1 {status} {status.phrase}",
            *headers,
            "Connection: close",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(reason.encode()) + 1}",
        ]
        self.answer = ("\r\n".join(lines) + f"\r\n\r\n{reason}\n").encode()


class Handshake:
    """One peer's request, which may come in pieces, and the answer."""

    def __init__(self, config: StompConfig, max_message_size: Callable[[], int]) -> None:
        self._config = config
        self._max_message_size = max_message_size
        self._received = b""
        self.wire = WSConnection(ConnectionType.SERVER)
        self.credentials: tuple[str, str] | None = None  # Those of HTTP Basic, once answered.

    def receive_data(self, data: bytes) -> bytes:
        """Take in a part of the request; returns the answer once it is whole and welcome.

        Raises `HandshakeRefusedError`.
        """
        self._received += data
        if len(self._received) > self._config.max_handshake_size:
            raise HandshakeRefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"a request has at most {self._config.max_handshake_size} octets",
            )
        try:
            self.wire.receive_data(data)
            for request in self.wire.events():
                assert isinstance(request, Request)
                return self._answer(request)
        except RemoteProtocolError as error:
            raise self._refusal(error) from error
        except (ProtocolError, ValueError) as error:  # Octets that are neither ASCII nor IDNA.
            raise HandshakeRefusedError(HTTPStatus.BAD_REQUEST, "Bad HTTP message") from error
        return b""

    def _answer(self, request: Request) -> bytes:
        self._check_path()
        headers = request.extra_headers
        names = {name for name, _ in headers}
        if names & {b"content-length", b"transfer-encoding"} or not self._received.endswith(_ENDS):
            raise HandshakeRefusedError(
                HTTPStatus.BAD_REQUEST, "nothing may follow the request before it is answered"
            )
        origins = [to_text(value) for name, value in headers if name == b"origin"]
        if not all(is_welcome(origin, request.host, self._config) for origin in origins):
            raise HandshakeRefusedError(
                HTTPStatus.FORBIDDEN, "pages of this origin may not connect (websocket_origins)"
            )
        if self._config.websocket_http_auth:
            self.credentials = self._parse_credentials(headers)
        extensions = [LimitedDeflate(self._max_message_size)]
        return self.wire.send(
            AcceptConnection(
                subprotocol=next((s for s in SUBPROTOCOLS if s in request.subprotocols), None),
                extensions=[*extensions] if self._config.websocket_compression else [],
            )
        )

    def _check_path(self) -> None:
        """404 goes before all else; wsproto does not tell where a bad request wanted to go."""
        target = self._received.lstrip().partition(b" ")[2].partition(b" ")[0]
        if target.partition(b"?")[0] != PATH:
            raise HandshakeRefusedError(
                HTTPStatus.NOT_FOUND, f"STOMP over WebSocket is at {PATH.decode()}"
            )

    def _refusal(self, error: RemoteProtocolError) -> HandshakeRefusedError:
        try:
            self._check_path()
        except HandshakeRefusedError as refused:
            return refused
        status, headers = HTTPStatus.BAD_REQUEST, []
        if isinstance(error.event_hint, RejectConnection):
            status = HTTPStatus(error.event_hint.status_code)
            headers = [f"{k.decode()}: {v.decode()}" for k, v in error.event_hint.headers]
        return HandshakeRefusedError(status, str(error), *headers)

    def _parse_credentials(self, headers: list[tuple[bytes, bytes]]) -> tuple[str, str]:
        given = [value for name, value in headers if name == b"authorization"]
        if not given:
            return self._config.default_user, self._config.default_password
        credentials = parse_basic(given[0])
        if credentials is None:
            raise HandshakeRefusedError(
                HTTPStatus.UNAUTHORIZED,
                "Authorization is not HTTP Basic",
                'WWW-Authenticate: Basic realm="RosettaMQ", charset="UTF-8"',
            )
        return credentials


def is_welcome(origin: str, host: str, config: StompConfig) -> bool:
    """Whether a page of `origin` may connect, having asked for `host`.

    A page of the host itself may, whatever its port, if the host is an address or localhost. A
    name proves nothing: its owner can point it here (DNS rebinding) after the page was loaded.
    """
    allowed = config.websocket_origins
    if "*" in allowed or origin.lower() in allowed:
        return True
    own = urlsplit(f"//{host}").hostname
    return own is not None and urlsplit(origin).hostname == own and _is_fixed(own)


def _is_fixed(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_basic(value: bytes) -> tuple[str, str] | None:
    """The user and password of an Authorization header (RFC 7617), if it is such a one."""
    scheme, _, token = value.partition(b" ")
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    if scheme.lower() != b"basic" or not colon:
        return None
    return to_text(user), to_text(password)
