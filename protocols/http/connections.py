"""Connections, channels and consumers, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from protocols.http import views
from protocols.http.call import NO_CONTENT, Call, has_role, not_authorised, not_found

if TYPE_CHECKING:
    from gateway.connections import Entry

_DEFAULT_REASON = "Closed via management plugin"


def connections(call: Call) -> Any:
    """All connections that the user may see: its own, and with the tag `monitoring` all."""
    return [views.connection(entry) for entry in _entries(call)]


def connection(call: Call) -> Any:
    """One of them."""
    return views.connection(_find(call))


def delete_connection(call: Call) -> Any:
    """Close a connection; the header X-Reason is what its client hears."""
    entry = _find(call)
    if entry.user != call.user.name and not has_role(call.user, "administrator"):
        raise not_authorised()
    entry.connection.force_close(call.reason or _DEFAULT_REASON)
    return NO_CONTENT


def connections_of_user(call: Call) -> Any:
    """Those of one user."""
    found = (entry for entry in _entries(call) if entry.user == call.names["user"])
    return [views.connection(entry) for entry in found]


def delete_connections_of_user(call: Call) -> Any:
    """Close those of one user."""
    if call.names["user"] != call.user.name and not has_role(call.user, "administrator"):
        raise not_authorised()
    call.gateway.connections.close_all(
        lambda entry: entry.user == call.names["user"], call.reason or _DEFAULT_REASON
    )
    return NO_CONTENT


def channels(call: Call) -> Any:
    """All channels of the connections that the user may see."""
    return [each for entry in _entries(call) for each in _channels(entry)]


def channels_of_connection(call: Call) -> Any:
    """Those of one connection."""
    return _channels(_find(call))


def channel(call: Call) -> Any:
    """One channel."""
    for each in channels(call):
        if each["name"] == call.names["channel"]:
            return each
    raise not_found()


def consumers(call: Call) -> Any:
    """All subscriptions in the virtual hosts that the user may see, or in one."""
    hosts = {host.name for host in call.virtual_hosts()}
    return [each for each in views.consumers(call.gateway) if each["queue"]["vhost"] in hosts]


def _entries(call: Call) -> Iterator[Entry]:
    host = call.virtual_host.name if "vhost" in call.names else None
    sees_all = has_role(call.user, "monitoring")
    for entry in call.gateway.connections:
        is_visible = sees_all or entry.user == call.user.name
        if is_visible and host in (None, entry.virtual_host):
            yield entry


def _find(call: Call) -> Entry:
    for entry in _entries(call):
        if views.connection_name(entry) == call.names["connection"]:
            return entry
    raise not_found()


def _channels(entry: Entry) -> list[dict[str, Any]]:
    return [views.channel(entry, facts) for facts in entry.connection.channel_facts()]
