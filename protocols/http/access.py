"""Virtual hosts, users, permissions and limits, over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.security.permissions import Permission, TopicPermission
from protocols.http import views
from protocols.http.call import NO_CONTENT, Call, bad_request, not_found, put_answer, short_text

if TYPE_CHECKING:
    from gateway.security.users import User

# Virtual hosts


class VirtualHostBody(msgspec.Struct):
    """PUT of a virtual host. Tracing is accepted, and not there."""

    description: str = ""
    tags: str | list[str] = ""
    default_queue_type: str | None = None
    tracing: bool = False


def virtual_hosts(call: Call) -> Any:
    """All that the user may see."""
    return [views.virtual_host(host) for host in call.virtual_hosts()]


def virtual_host(call: Call) -> Any:
    """One of them."""
    return views.virtual_host(call.virtual_host)


def put_virtual_host(call: Call) -> Any:
    """Create or describe one; whoever creates it has all permissions there."""
    name, body = call.names["vhost"], call.body(VirtualHostBody)
    if not short_text(name, "the name"):
        raise bad_request("a virtual host needs a name")
    default_queue_type = body.default_queue_type or "classic"
    is_new = call.gateway.put_virtual_host(
        name, body.description, parse_tags(body.tags), default_queue_type
    )
    if is_new:
        call.gateway.permissions.put(Permission(call.user.name, name, ".*", ".*", ".*"))
    return put_answer(is_new)


def delete_virtual_host(call: Call) -> Any:
    """Delete one, with all that is in it."""
    call.gateway.delete_virtual_host(call.virtual_host.name)
    return NO_CONTENT


def parse_tags(tags: str | list[str]) -> list[str]:
    """Tags come as an array, or as text with commas."""
    if isinstance(tags, str):
        tags = tags.split(",")
    return [tag.strip() for tag in tags if tag.strip()]


# Users


class UserBody(msgspec.Struct):
    """PUT of a user."""

    tags: str | list[str]
    password: str | None = None
    password_hash: str | None = None
    hashing_algorithm: str = ""


class BulkDeleteBody(msgspec.Struct):
    """POST of the names of users to delete."""

    users: list[str]


def users(call: Call) -> Any:
    """All users."""
    return [views.user(user) for user in call.gateway.users]


def user(call: Call) -> Any:
    """One of them."""
    return views.user(_user(call))


def users_without_permissions(call: Call) -> Any:
    """Those who may enter no virtual host."""
    entitled = {permission.user for permission in call.gateway.permissions}
    return [views.user(user) for user in call.gateway.users if user.name not in entitled]


def put_user(call: Call) -> Any:
    """Create or change a user."""
    body = call.body(UserBody)
    short_text(call.names["user"], "the name")
    is_new = call.gateway.users.put(
        call.names["user"],
        password=body.password,
        password_hash=body.password_hash,
        algorithm=body.hashing_algorithm,
        tags=parse_tags(body.tags),
    )
    return put_answer(is_new)


def delete_user(call: Call) -> Any:
    """Delete a user; its connections are closed."""
    call.gateway.delete_user(_user(call).name)
    return NO_CONTENT


def bulk_delete_users(call: Call) -> Any:
    """Delete many; those who are not there do not matter."""
    for name in call.body(BulkDeleteBody).users:
        if name in call.gateway.users:
            call.gateway.delete_user(name)
    return NO_CONTENT


def _user(call: Call) -> User:
    if call.names["user"] not in call.gateway.users:
        raise not_found()
    return call.gateway.users.find(call.names["user"])


# Permissions


class PermissionBody(msgspec.Struct):
    """PUT of permissions: all three are wanted."""

    configure: str
    write: str
    read: str


class TopicPermissionBody(msgspec.Struct):
    """PUT of topic permissions."""

    exchange: str
    write: str
    read: str


def permissions(call: Call) -> Any:
    """All, or those of one user, or in one virtual host."""
    return [views.permission(each) for each in _of_path(call, call.gateway.permissions)]


def permission(call: Call) -> Any:
    """Those of one user in one virtual host."""
    found = call.gateway.permissions.find(*_user_and_host(call))
    if found is None:
        raise not_found()
    return views.permission(found)


def put_permission(call: Call) -> Any:
    """Grant."""
    body = call.body(PermissionBody)
    granted = Permission(*_user_and_host(call), body.configure, body.write, body.read)
    return put_answer(call.gateway.permissions.put(granted))


def delete_permission(call: Call) -> Any:
    """Take away."""
    if not call.gateway.permissions.delete(*_user_and_host(call)):
        raise not_found()
    return NO_CONTENT


def topic_permissions(call: Call) -> Any:
    """All, or those of one user, or in one virtual host."""
    found = _of_path(call, call.gateway.permissions.topics)
    return [views.topic_permission(each) for each in found]


def topic_permissions_of_both(call: Call) -> Any:
    """Those of one user in one virtual host."""
    _user_and_host(call)
    found = topic_permissions(call)
    if not found:
        raise not_found()
    return found


def put_topic_permission(call: Call) -> Any:
    """Restrict."""
    body = call.body(TopicPermissionBody)
    restricted = TopicPermission(*_user_and_host(call), body.exchange, body.write, body.read)
    return put_answer(call.gateway.permissions.put_topic(restricted))


def delete_topic_permissions(call: Call) -> Any:
    """Lift all restrictions of one user in one virtual host, or at one exchange there."""
    exchange = call.names.get("exchange")
    if not call.gateway.permissions.delete_topics(*_user_and_host(call), exchange):
        raise not_found()
    return NO_CONTENT


def _user_and_host(call: Call) -> tuple[str, str]:
    return _user(call).name, call.virtual_host.name


def _of_path(call: Call, found: Iterable[Any]) -> list[Any]:
    """Those of the user and of the virtual host in the path, as far as one is there."""
    user = _user(call).name if "user" in call.names else None
    host = call.virtual_host.name if "vhost" in call.names else None
    return [
        each for each in found if user in (None, each.user) and host in (None, each.virtual_host)
    ]


# Limits


class LimitBody(msgspec.Struct):
    """PUT of a limit; below 0 it is none."""

    value: int


def virtual_host_limits(call: Call) -> Any:
    """The limits of all virtual hosts that have some, or of one."""
    return [
        {"vhost": host.name, "value": host.limits} for host in call.virtual_hosts() if host.limits
    ]


def put_virtual_host_limit(call: Call) -> Any:
    """Set one."""
    value = call.body(LimitBody).value
    call.gateway.set_virtual_host_limit(call.virtual_host.name, call.names["limit"], value)
    return NO_CONTENT


def delete_virtual_host_limit(call: Call) -> Any:
    """Lift one."""
    call.gateway.set_virtual_host_limit(call.virtual_host.name, call.names["limit"], None)
    return NO_CONTENT


def user_limits(call: Call) -> Any:
    """The limits of all users that have some, or of one."""
    found = [_user(call)] if "user" in call.names else call.gateway.users
    return [{"user": user.name, "value": dict(user.limits)} for user in found if user.limits]


def put_user_limit(call: Call) -> Any:
    """Set one."""
    value = call.body(LimitBody).value
    call.gateway.users.set_limit(_user(call).name, call.names["limit"], value)
    return NO_CONTENT


def delete_user_limit(call: Call) -> Any:
    """Lift one."""
    call.gateway.users.set_limit(_user(call).name, call.names["limit"], None)
    return NO_CONTENT
