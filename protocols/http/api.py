"""The API without its socket: a request goes in, an answer comes out, whatever was asked."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from twisted.logger import Logger

from core.errors import CoreError
from gateway.errors import AccessRefusedError, GatewayError, LoginRefusedError
from protocols.http import routes
from protocols.http.call import (
    Answer,
    Call,
    HttpError,
    Pending,
    bad_request,
    has_role,
    not_authorised,
)
from protocols.http.lists import arrange

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.security.users import User

_REFUSALS = (HttpError, CoreError, OSError)  # What a request may end with.
_QUERY_COUNT_MAX = 100
_LOGIN = {"www-authenticate": 'Basic realm="RabbitMQ Management"'}


@dataclass(frozen=True, slots=True)
class Request:
    """What came; `path` is without `/api/`, in its parts, each still quoted."""

    method: str
    path: Sequence[str]
    query: str = ""
    content: bytes = b""
    authorization: str | None = None
    reason: str | None = None
    peer_host: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Api:
    """Answers requests; whatever is wrong with one is said in its answer."""

    _log = Logger()

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def answer(self, request: Request, respond: Callable[[Response], None]) -> None:
        """Do what the request says, and `respond`: before this returns, or later.

        What it changed is durable after `Broker.when_durable`; if the response came later, it is.
        """
        try:
            answer = self._carry_out(request)
        except _REFUSALS as error:
            respond(self._refuse(error))
            return
        if isinstance(answer, Pending):
            answer.when_done(lambda result: respond(self._encode_result(result)))
        else:
            respond(_encode(answer))

    def _encode_result(self, result: Answer | BaseException) -> Response:
        if isinstance(result, Answer):
            return _encode(result)
        if not isinstance(result, _REFUSALS):
            self._log.error("a request failed: {error}", error=result)
        return self._refuse(result)

    def _refuse(self, error: BaseException) -> Response:
        """What is answered instead."""
        if isinstance(error, HttpError):
            refused = error
        elif isinstance(error, AccessRefusedError):
            refused = not_authorised(str(error))
        elif isinstance(error, GatewayError):
            refused = bad_request(str(error))
        elif isinstance(error, CoreError):
            refused = HttpError(503, "unavailable", str(error))
        else:
            self._log.error("the disk refuses: {error}", error=error)
            refused = HttpError(503, "unavailable", "the disk refuses to write")
        headers = _LOGIN if refused.error == "not_authorized" else {}
        body = {"error": refused.error, "reason": refused.reason}
        return _encode(Answer(refused.status, body, headers))

    def _carry_out(self, request: Request) -> Answer | Pending:
        user = self._log_in(request)
        method = "GET" if request.method == "HEAD" else request.method
        route, names = routes.find(method, [_unquote(part) for part in request.path])
        if not has_role(user, route.role):
            raise not_authorised()
        query = _parse_query(request.query)
        call = Call(self._gateway, user, names, query, request.content, request.reason)
        result = route.function(call)
        if isinstance(result, Answer | Pending):
            return result
        return Answer(200, arrange(result, query) if method == "GET" else result)

    def _log_in(self, request: Request) -> User:
        """The user of HTTP's basic authentication. Raises `HttpError`."""
        scheme, _, encoded = (request.authorization or "").partition(" ")
        try:
            if scheme.lower() != "basic":
                raise ValueError
            name, colon, password = b64decode(encoded, validate=True).decode().partition(":")
            if not colon:
                raise ValueError
            self._gateway.login(name, password, request.peer_host)
        except (ValueError, binascii.Error):
            raise HttpError(401, "not_authorized", "Not_Authorized") from None
        except LoginRefusedError as error:
            self._log.warn("HTTP access denied: {reason}", reason=str(error))
            raise HttpError(401, "not_authorized", "Login failed") from None
        user = self._gateway.users.find(name)
        if not has_role(user, "management"):
            raise not_authorised("User not authorised to access the management interface")
        return user


def _unquote(text: str) -> str:
    try:
        name = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise bad_request("the path is not UTF-8") from None
    if "\0" in name:
        raise bad_request("the path has a NUL in it")
    return name


def _parse_query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, max_num_fields=_QUERY_COUNT_MAX, errors="strict"
        )
    except ValueError as error:
        raise bad_request(f"the query cannot be read: {error}") from None
    return dict(pairs)


def _encode(answer: Answer) -> Response:
    if answer.body is None:
        return Response(answer.status, b"", answer.headers)
    content = json.dumps(answer.body, default=_encode_other, separators=(",", ":")).encode()
    return Response(answer.status, content, {"content-type": "application/json", **answer.headers})


def _encode_other(value: Any) -> Any:
    """What an AMQP table may hold, and JSON may not."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return str(value)
