"""One request, as the functions of the API see it, and what they answer; no socket, no Twisted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.errors import NotAllowedError

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.security.access import UserVirtualHost
    from gateway.security.users import User
    from gateway.vhosts.virtual_host import VirtualHost

_Body = TypeVar("_Body")
_DEPTH_MAX = 32
_SHORT_SIZE_MAX = 255

# Which tags open what asks for a tag; no tag at all means AMQP only.
ROLES: Mapping[str, Collection[str]] = {
    "management": ("management", "policymaker", "monitoring", "administrator"),
    "policymaker": ("policymaker", "administrator"),
    "monitoring": ("monitoring", "administrator"),
    "administrator": ("administrator",),
}


class HttpError(Exception):
    """A request that is refused: a status, RabbitMQ's name for it, and the reason in words."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason


def bad_request(reason: str) -> HttpError:
    """The request makes no sense."""
    return HttpError(400, "bad_request", reason)


def not_found() -> HttpError:
    """What the path names is not there."""
    return HttpError(404, "Object Not Found", "Not Found")


def not_authorised(reason: str = "User not authorised") -> HttpError:
    """The user may not do this."""
    return HttpError(401, "not_authorised", reason)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and perhaps a body; functions of the API may return just a body, for status 200."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Pending:
    """An answer that comes later: `finish` it, or `fail`, once."""

    def __init__(self) -> None:
        self._result: Answer | BaseException | None = None
        self._callback: Callable[[Answer | BaseException], None] | None = None

    def finish(self, answer: Answer) -> None:
        """Answer so."""
        self._end(answer)

    def fail(self, error: BaseException) -> None:
        """Say what went wrong: one of the errors that functions of the API may raise."""
        self._end(error)

    def when_done(self, callback: Callable[[Answer | BaseException], None]) -> None:
        """Call `callback` with what came, or comes; for one only."""
        self._callback = callback
        if self._result is not None:
            callback(self._result)

    def _end(self, result: Answer | BaseException) -> None:
        self._result = result
        if self._callback is not None:
            self._callback(result)


CREATED = Answer(201)
NO_CONTENT = Answer(204)


def put_answer(is_new: bool) -> Answer:
    """What PUT answers."""
    return CREATED if is_new else NO_CONTENT


def has_role(user: User, role: str) -> bool:
    """Do the user's tags open what asks for this one?"""
    return any(tag in ROLES[role] for tag in user.tags)


def _check_storable(value: Any, depth: int) -> None:
    """Refuse what JSON can say, and no protocol of ours."""
    if not depth:
        raise bad_request(f"objects and arrays may be {_DEPTH_MAX} deep")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise bad_request(f"{value} does not fit in 64 bits")
    if isinstance(value, dict):
        for each in value.values():
            _check_storable(each, depth - 1)
    elif isinstance(value, list):
        for each in value:
            _check_storable(each, depth - 1)


def short_text(text: str, what: str) -> str:
    """A name or routing key, if it is no longer than the protocols can say. Raises `HttpError`."""
    if len(text.encode("utf-8", "surrogatepass")) > _SHORT_SIZE_MAX:
        raise bad_request(f"{what} is longer than {_SHORT_SIZE_MAX} bytes")
    return text


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a user who is logged in; `names` are the variable parts of its path."""

    gateway: Gateway
    user: User
    names: Mapping[str, str]
    query: Mapping[str, str]
    content: bytes = b""
    reason: str | None = None  # The header X-Reason.

    def body(self, kind: type[_Body]) -> _Body:
        """The JSON in the request, as `kind`; booleans and numbers may come as text.

        Raises `HttpError`.
        """
        try:
            return msgspec.convert(self.json(), kind, strict=False)
        except msgspec.ValidationError as error:
            raise bad_request(str(error).replace("`", "'")) from None

    def json(self) -> Any:
        """The JSON in the request; nothing is an empty object. Raises `HttpError`."""
        try:
            document = msgspec.json.decode(self.content) if self.content.strip() else {}
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise HttpError(400, "not_json", str(error)) from None
        _check_storable(document, _DEPTH_MAX)
        return document

    def flag(self, name: str) -> bool:
        """A switch in the query."""
        return self.query.get(name, "") == "true"

    # Virtual hosts

    @property
    def virtual_host(self) -> VirtualHost:
        """The virtual host in the path, to look at. Raises `HttpError`."""
        name = self.names["vhost"]
        virtual_host = self.gateway.virtual_hosts.get(name)
        if virtual_host is None:
            raise not_found()
        if not self.may_see(name):
            raise not_authorised()
        return virtual_host

    @property
    def entered(self) -> UserVirtualHost:
        """The virtual host in the path, to do something there as this user. Raises `HttpError`."""
        name = self.names["vhost"]
        if name not in self.gateway.virtual_hosts:
            raise not_found()
        try:
            return self.gateway.enter_virtual_host(self.user.name, name)
        except NotAllowedError as error:
            raise not_authorised(str(error)) from None

    def may_see(self, virtual_host: str) -> bool:
        """May the user look at what is in this virtual host?"""
        if has_role(self.user, "monitoring"):
            return True
        return self.gateway.permissions.find(self.user.name, virtual_host) is not None

    def virtual_hosts(self) -> Iterable[VirtualHost]:
        """The one in the path, or all that the user may see."""
        if "vhost" in self.names:
            return [self.virtual_host]
        return [each for each in self.gateway.virtual_hosts.values() if self.may_see(each.name)]
