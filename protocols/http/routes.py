"""The table of the API: which function answers what path and method, and whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from protocols.http import (
    access,
    connections,
    definitions,
    delays,
    messages,
    overview,
    parameters,
    policies,
    queue_tools,
    topology,
)
from protocols.http.call import Call, HttpError, not_found

Function: TypeAlias = "Callable[[Call], Any]"

# By role: the tag (or one above it, see `call.ROLES`) that a user needs. Path and function per
# method; <names> are handed to the function.
_TABLE: Mapping[str, Sequence[tuple[str, Mapping[str, Function]]]] = {
    "management": (
        ("overview", {"GET": overview.overview}),
        ("whoami", {"GET": overview.who_am_i}),
        ("cluster-name", {"GET": overview.cluster_name}),
        ("version", {"GET": overview.version}),
        ("extensions", {"GET": overview.empty_list}),
        ("aliveness-test/<vhost>", {"GET": overview.aliveness}),
        ("vhosts", {"GET": access.virtual_hosts}),
        ("vhosts/<vhost>", {"GET": access.virtual_host}),
        ("vhosts/<vhost>/connections", {"GET": connections.connections}),
        ("connections", {"GET": connections.connections}),
        (
            "connections/<connection>",
            {"GET": connections.connection, "DELETE": connections.delete_connection},
        ),
        ("connections/<connection>/channels", {"GET": connections.channels_of_connection}),
        (
            "connections/username/<user>",
            {
                "GET": connections.connections_of_user,
                "DELETE": connections.delete_connections_of_user,
            },
        ),
        ("channels", {"GET": connections.channels}),
        ("channels/<channel>", {"GET": connections.channel}),
        ("vhosts/<vhost>/channels", {"GET": connections.channels}),
        ("consumers", {"GET": connections.consumers}),
        ("consumers/<vhost>", {"GET": connections.consumers}),
        ("queues", {"GET": topology.queues}),
        ("queues/<vhost>", {"GET": topology.queues}),
        (
            "queues/<vhost>/<queue>",
            {"GET": topology.queue, "PUT": topology.put_queue, "DELETE": topology.delete_queue},
        ),
        ("queues/<vhost>/<queue>/bindings", {"GET": topology.bindings_of_queue}),
        ("queues/<vhost>/<queue>/contents", {"DELETE": topology.purge_queue}),
        ("queues/<vhost>/<queue>/get", {"POST": messages.get}),
        ("queues/<vhost>/<queue>/browse", {"GET": queue_tools.browse_queue}),
        ("queues/<vhost>/<queue>/pause", {"POST": queue_tools.pause_queue}),
        ("queues/<vhost>/<queue>/resume", {"POST": queue_tools.resume_queue}),
        ("queues/<vhost>/<queue>/rewind", {"POST": queue_tools.rewind_queue}),
        ("queues/<vhost>/<queue>/dead-letters", {"POST": queue_tools.put_back}),
        ("queues/<vhost>/<queue>/actions", {"POST": topology.queue_action}),
        ("exchanges", {"GET": topology.exchanges}),
        ("exchanges/<vhost>", {"GET": topology.exchanges}),
        (
            "exchanges/<vhost>/<exchange>",
            {
                "GET": topology.exchange,
                "PUT": topology.put_exchange,
                "DELETE": topology.delete_exchange,
            },
        ),
        ("exchanges/<vhost>/<exchange>/publish", {"POST": messages.publish}),
        (
            "exchanges/<vhost>/<exchange>/bindings/source",
            {"GET": topology.bindings_of_source},
        ),
        (
            "exchanges/<vhost>/<exchange>/bindings/destination",
            {"GET": topology.bindings_of_destination},
        ),
        ("bindings", {"GET": topology.bindings}),
        ("bindings/<vhost>", {"GET": topology.bindings}),
        (
            "bindings/<vhost>/e/<exchange>/q/<queue>",
            {"GET": topology.bindings_between, "POST": topology.post_binding},
        ),
        (
            "bindings/<vhost>/e/<exchange>/e/<destination>",
            {"GET": topology.bindings_between, "POST": topology.post_binding},
        ),
        (
            "bindings/<vhost>/e/<exchange>/q/<queue>/<properties_key>",
            {"GET": topology.binding, "DELETE": topology.delete_binding},
        ),
        (
            "bindings/<vhost>/e/<exchange>/e/<destination>/<properties_key>",
            {"GET": topology.binding, "DELETE": topology.delete_binding},
        ),
        ("delayed/<vhost>", {"GET": delays.delayed}),
        ("delayed/<vhost>/<id>", {"DELETE": delays.cancel}),
        ("vhost-limits", {"GET": access.virtual_host_limits}),
        ("vhost-limits/<vhost>", {"GET": access.virtual_host_limits}),
        ("policies", {"GET": policies.policies}),
        ("policies/<vhost>", {"GET": policies.policies}),
        ("operator-policies", {"GET": policies.operator_policies}),
        ("operator-policies/<vhost>", {"GET": policies.operator_policies}),
        ("health/checks/alarms", {"GET": overview.healthy}),
        ("health/checks/local-alarms", {"GET": overview.healthy}),
        ("health/checks/virtual-hosts", {"GET": overview.virtual_hosts_are_up}),
        ("health/checks/port-listener/<port>", {"GET": overview.port_is_open}),
        ("health/checks/protocol-listener/<protocol>", {"GET": overview.protocol_is_open}),
        ("health/checks/node-is-quorum-critical", {"GET": overview.healthy}),
        ("health/checks/is-in-service", {"GET": overview.healthy}),
        ("health/checks/ready-to-serve-clients", {"GET": overview.healthy}),
    ),
    "policymaker": (
        (
            "policies/<vhost>/<name>",
            {
                "GET": policies.policy,
                "PUT": policies.put_policy,
                "DELETE": policies.delete_policy,
            },
        ),
        ("parameters", {"GET": parameters.parameters}),
        ("parameters/<component>", {"GET": parameters.parameters}),
        ("parameters/<component>/<vhost>", {"GET": parameters.parameters}),
        (
            "parameters/<component>/<vhost>/<name>",
            {
                "GET": parameters.parameter,
                "PUT": parameters.put_parameter,
                "DELETE": parameters.delete_parameter,
            },
        ),
        ("global-parameters", {"GET": parameters.global_parameters}),
        (
            "global-parameters/<name>",
            {
                "GET": parameters.global_parameter,
                "PUT": parameters.put_global_parameter,
                "DELETE": parameters.delete_global_parameter,
            },
        ),
        (
            "definitions/<vhost>",
            {"GET": definitions.export_virtual_host},
        ),
    ),
    "monitoring": (
        ("nodes", {"GET": overview.nodes}),
        ("nodes/<node>", {"GET": overview.node}),
        ("feature-flags", {"GET": overview.empty_list}),
        ("deprecated-features", {"GET": overview.empty_list}),
        ("deprecated-features/used", {"GET": overview.empty_list}),
    ),
    "administrator": (
        (
            "vhosts/<vhost>",
            {"PUT": access.put_virtual_host, "DELETE": access.delete_virtual_host},
        ),
        ("vhosts/<vhost>/permissions", {"GET": access.permissions}),
        ("vhosts/<vhost>/topic-permissions", {"GET": access.topic_permissions}),
        ("users", {"GET": access.users}),
        ("users/without-permissions", {"GET": access.users_without_permissions}),
        ("users/bulk-delete", {"POST": access.bulk_delete_users}),
        (
            "users/<user>",
            {"GET": access.user, "PUT": access.put_user, "DELETE": access.delete_user},
        ),
        ("users/<user>/permissions", {"GET": access.permissions}),
        ("users/<user>/topic-permissions", {"GET": access.topic_permissions}),
        ("permissions", {"GET": access.permissions}),
        (
            "permissions/<vhost>/<user>",
            {
                "GET": access.permission,
                "PUT": access.put_permission,
                "DELETE": access.delete_permission,
            },
        ),
        ("topic-permissions", {"GET": access.topic_permissions}),
        (
            "topic-permissions/<vhost>/<user>",
            {
                "GET": access.topic_permissions_of_both,
                "PUT": access.put_topic_permission,
                "DELETE": access.delete_topic_permissions,
            },
        ),
        (
            "topic-permissions/<vhost>/<user>/<exchange>",
            {"DELETE": access.delete_topic_permissions},
        ),
        (
            "operator-policies/<vhost>/<name>",
            {
                "GET": policies.operator_policy,
                "PUT": policies.put_operator_policy,
                "DELETE": policies.delete_operator_policy,
            },
        ),
        (
            "vhost-limits/<vhost>/<limit>",
            {"PUT": access.put_virtual_host_limit, "DELETE": access.delete_virtual_host_limit},
        ),
        ("user-limits", {"GET": access.user_limits}),
        ("user-limits/<user>", {"GET": access.user_limits}),
        (
            "user-limits/<user>/<limit>",
            {"PUT": access.put_user_limit, "DELETE": access.delete_user_limit},
        ),
        ("definitions", {"GET": definitions.export, "POST": definitions.import_all}),
        ("definitions/<vhost>", {"POST": definitions.import_virtual_host}),
    ),
}


class Route(NamedTuple):
    """One path and method."""

    pattern: tuple[str, ...]
    method: str
    role: str
    function: Function


def _build() -> dict[int, list[Route]]:
    """All routes by the length of their paths; fixed words before names."""
    routes: dict[int, list[Route]] = {}
    for role, rows in _TABLE.items():
        for path, functions in rows:
            pattern = tuple(path.split("/"))
            for method, function in functions.items():
                route = Route(pattern, method, role, function)
                routes.setdefault(len(pattern), []).append(route)
    for same_length in routes.values():
        same_length.sort(key=lambda route: [part.startswith("<") for part in route.pattern])
    return routes


_ROUTES = _build()


def find(method: str, path: Sequence[str]) -> tuple[Route, dict[str, str]]:
    """The route of a request, and the names in its path. Raises `HttpError`."""
    allowed: list[str] = []
    for route in _ROUTES.get(len(path), ()):
        names = _match(route.pattern, path)
        if names is None:
            continue
        if route.method == method:
            return route, names
        allowed.append(route.method)
    if not allowed:
        raise not_found()
    raise HttpError(405, "method_not_allowed", f"allowed here: {', '.join(sorted(set(allowed)))}")


def _match(pattern: Sequence[str], path: Sequence[str]) -> dict[str, str] | None:
    names = {}
    for wanted, given in zip(pattern, path, strict=True):
        if wanted.startswith("<"):
            names[wanted[1:-1]] = given
        elif wanted != given:
            return None
    return names
