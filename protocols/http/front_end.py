"""The HTTP front end: its configuration, its port, and Twisted's part of each request."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.server import Request as SiteRequest

from gateway.front_end import Listener
from gateway.messages import Language
from protocols.http.api import Api, Request, Response
from protocols.http.language import HTTP
from protocols.http.transport import ApiChannel

if TYPE_CHECKING:
    from gateway.gateway import Gateway

_IDLE_S = 60  # How long a connection may say nothing.


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """The section `http`: RabbitMQ's management API."""

    # False: nothing listens.
    enabled: bool = True
    port: int = 15672
    # The port for TLS, if `[tls]` has a certificate and `tls` is true here.
    tls_port: int = 15671
    tls: bool = True
    # The largest body of a request, in bytes.
    body_size_max: Annotated[int, msgspec.Meta(ge=1)] = 20 << 20


class HttpFrontEnd:
    """See `gateway.front_end.FrontEnd`."""

    section: ClassVar[str] = "http"
    config_class: ClassVar[type[HttpConfig]] = HttpConfig
    languages: ClassVar[Sequence[Language]] = (HTTP,)

    def __init__(self, gateway: Gateway, section: HttpConfig, clock: IReactorTime) -> None:
        self._section = section
        self._site = ApiSite(gateway, section, clock)

    def listeners(self) -> Sequence[Listener]:
        """One port, and one for TLS, or none."""
        if not self._section.enabled:
            return []
        listeners = [Listener("http", self._section.port, self._site)]
        if self._section.tls:
            listeners.append(Listener("https", self._section.tls_port, self._site, tls="only"))
        return listeners

    def listening(self, name: str, host: str, port: int) -> None:
        """Nobody needs the address."""

    def stop(self) -> None:
        """Hang up; what was answered is still sent."""
        self._site.hang_up()


class ApiSite(Site):
    """Knows its connections, which HTTP keeps open, to hang up at the end."""

    noisy = False
    # HTTP/1.1 only; the usual one hides its transport.
    protocol = ApiChannel  # type: ignore[assignment]

    def __init__(self, gateway: Gateway, section: HttpConfig, clock: IReactorTime) -> None:
        root = ApiResource(gateway)
        super().__init__(root, LimitedRequest, timeout=_IDLE_S, reactor=clock)  # type: ignore[no-untyped-call]
        self.body_size_max = section.body_size_max
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: N802
        """Twisted: a peer has connected."""
        channel = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        self._open.add(channel)
        return channel

    def startFactory(self) -> None:  # noqa: N802
        """Twisted's own would set a timer for the date in its log."""

    def stopFactory(self) -> None:  # noqa: N802
        """Nothing was started."""

    def log(self, request: HttpRequest) -> None:
        """No access log."""

    def hang_up(self) -> None:
        """Close all connections when what they have to send is sent."""
        for channel in list(self._open):
            if channel.transport is not None:
                channel.transport.loseConnection()


class LimitedRequest(SiteRequest):
    """Keeps no more of a body than is allowed."""

    body_size = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Twisted: a part of the body has come."""
        self.body_size += len(data)
        if not self.is_too_large:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]

    @property
    def is_too_large(self) -> bool:
        """Is the body larger than is allowed?"""
        channel: Any = self.channel
        return bool(self.body_size > channel.site.body_size_max)


class ApiResource(Resource):
    """Everything under the root: `/api/...`."""

    isLeaf = True  # noqa: N815

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._gateway = gateway
        self._api = Api(gateway)

    def render(self, request: Any) -> int:
        """Twisted: a request is there. It is answered when what it changed is durable.

        And not at once, but when others had their turn: the next request of a client that does not
        wait for answers, which may be the first of a thousand in one read, is looked at then.
        """
        gateway = self._gateway
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        responses: list[Response] = []
        respond = responses.append
        try:
            self._respond(request, lambda response: respond(response))
        finally:
            # Also what went before an unforeseen error is to be delivered and written.
            gateway.turn.end()

        def send(response: Response) -> None:
            if not gone:
                _send(request, response)

        def send_soon() -> None:
            gateway.clock.callLater(0, send, responses[0])

        if not responses:  # It takes a while.
            respond = send
        elif request.method in (b"GET", b"HEAD"):
            send_soon()
        else:
            gateway.broker.when_durable(send_soon)
            gateway.turn.end()
        return NOT_DONE_YET

    def _respond(self, request: Any, respond: Callable[[Response], None]) -> None:
        path, _, query = request.uri.partition(b"?")
        parts = path.decode("latin-1").strip("/").split("/")
        if parts[0] != "api" or len(parts) == 1:
            respond(Response(404, b'{"error":"Object Not Found","reason":"Not Found"}'))
            return
        if request.is_too_large:
            respond(Response(413, b'{"error":"bad_request","reason":"the body is too large"}'))
            return
        asked = Request(
            method=request.method.decode("latin-1"),
            path=parts[1:],
            query=query.decode("latin-1"),
            content=request.content.read(),
            authorization=request.getHeader("authorization"),
            reason=request.getHeader("x-reason"),
            peer_host=str(getattr(request.getClientAddress(), "host", "")),
        )
        self._api.answer(asked, respond)


def _send(request: Any, response: Response) -> None:
    request.setResponseCode(response.status)
    headers = {"cache-control": "no-cache", "server": "RosettaMQ", **response.headers}
    for name, value in headers.items():
        request.setHeader(name.encode(), value.encode())
    if response.status != 204:
        request.setHeader(b"content-length", str(len(response.content)).encode())
    if request.method != b"HEAD":
        request.write(response.content)
    request.finish()
