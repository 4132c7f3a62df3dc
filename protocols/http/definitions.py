"""Everything that was defined, as one document that RabbitMQ reads and writes, too.

An import adds and never removes, and can be repeated. Its form is checked before anything is done;
what contradicts what exists stops it where it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from twisted.logger import Logger

from gateway.declarations import ExchangeBinding, QueueBinding
from gateway.gateway import RABBITMQ_VERSION
from gateway.policies.policies import Policy
from gateway.security.permissions import Permission, TopicPermission
from protocols.http import parameters, views
from protocols.http.access import VirtualHostBody, parse_tags
from protocols.http.call import NO_CONTENT, Call, bad_request
from protocols.http.topology import BindingBody, ExchangeBody, QueueBody

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.vhosts.virtual_host import VirtualHost

_log = Logger()


class _User(msgspec.Struct):
    name: str
    password: str | None = None
    password_hash: str | None = None
    hashing_algorithm: str = ""
    tags: str | list[str] = ""
    limits: dict[str, int] | list[Any] = {}


class _Host(VirtualHostBody):
    name: str = ""
    metadata: dict[str, Any] = {}


class _Permission(msgspec.Struct):
    user: str
    vhost: str
    configure: str
    write: str
    read: str


class _TopicPermission(msgspec.Struct):
    user: str
    vhost: str
    exchange: str
    write: str
    read: str


class _Queue(QueueBody, kw_only=True):
    name: str
    vhost: str | None = None


class _Exchange(ExchangeBody, kw_only=True):
    name: str
    vhost: str | None = None


class _Binding(BindingBody, kw_only=True):
    source: str
    destination: str
    destination_type: str
    vhost: str | None = None


class _Parameter(msgspec.Struct):
    component: str
    name: str
    value: Any
    vhost: str | None = None


class _GlobalParameter(msgspec.Struct):
    name: str
    value: Any


class _Policy(msgspec.Struct):
    name: str
    pattern: str
    definition: dict[str, Any]
    vhost: str | None = None
    priority: int | float = 0
    apply_to: str = msgspec.field(default="all", name="apply-to")


_InHost: TypeAlias = "_Parameter | _Policy | _Queue | _Exchange | _Binding"


class Definitions(msgspec.Struct):
    """What an import may hold; what is not here is passed over."""

    users: list[_User] = []
    vhosts: list[_Host] = []
    permissions: list[_Permission] = []
    topic_permissions: list[_TopicPermission] = []
    parameters: list[_Parameter] = []
    global_parameters: list[_GlobalParameter] = []
    policies: list[_Policy] = []
    queues: list[_Queue] = []
    exchanges: list[_Exchange] = []
    bindings: list[_Binding] = []


def export(call: Call) -> Any:
    """The whole document."""
    gateway = call.gateway
    hosts = list(gateway.virtual_hosts.values())
    return {
        "rabbit_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "RosettaMQ",
        "product_version": gateway.product_version,
        "users": [views.user(user) for user in gateway.users],
        "vhosts": [_show_host(host) for host in hosts],
        "permissions": [views.permission(each) for each in gateway.permissions],
        "topic_permissions": [views.topic_permission(each) for each in gateway.permissions.topics],
        "parameters": [each for host in hosts for each in _show_parameters(host)],
        "global_parameters": [
            {"name": name, "value": value} for name, value in gateway.global_parameters
        ],
        "policies": [each for host in hosts for each in _show_policies(host)],
        "queues": [each for host in hosts for each in _show_queues(host)],
        "exchanges": [each for host in hosts for each in _show_exchanges(host)],
        "bindings": [each for host in hosts for each in _show_bindings(host)],
    }


def export_virtual_host(call: Call) -> Any:
    """What is in one virtual host, without its name: to be imported into any."""
    host = call.virtual_host
    without = ("vhost", "properties_key")
    parts = {
        "parameters": _show_parameters(host),
        "policies": _show_policies(host),
        "queues": _show_queues(host),
        "exchanges": _show_exchanges(host),
        "bindings": _show_bindings(host),
    }
    shown = {
        part: [{key: row[key] for key in row if key not in without} for row in rows]
        for part, rows in parts.items()
    }
    return {"rabbit_version": RABBITMQ_VERSION, **shown}


def _show_host(host: VirtualHost) -> dict[str, Any]:
    shown = views.virtual_host(host)
    kept = ("name", "description", "tags", "default_queue_type", "metadata")
    return {name: shown[name] for name in kept}


def _show_parameters(host: VirtualHost) -> list[dict[str, Any]]:
    """Policies have a part of their own; operator policies have none."""
    return [row for row in parameters.rows(host) if row["component"] != "policy"]


def _show_policies(host: VirtualHost) -> list[dict[str, Any]]:
    return [views.policy(host.name, policy) for policy in host.policies.of_kind("policy")]


def _show_queues(host: VirtualHost) -> list[dict[str, Any]]:
    kept = ("name", "vhost", "durable", "auto_delete", "arguments", "type")
    shown = (views.queue(queue) for queue in host.queues.values() if not queue.exclusive)
    return [{name: row[name] for name in kept} for row in shown]


def _show_exchanges(host: VirtualHost) -> list[dict[str, Any]]:
    kept = ("name", "vhost", "type", "durable", "auto_delete", "internal", "arguments")
    shown = (
        views.exchange(exchange)
        for name, exchange in host.exchanges.items()
        if name and not name.startswith("amq.")
    )
    return [{name: row[name] for name in kept} for row in shown]


def _show_bindings(host: VirtualHost) -> list[dict[str, Any]]:
    exclusive = {queue.name for queue in host.queues.values() if queue.exclusive}
    return [
        {name: row[name] for name in row if name != "properties_key"}
        for row in views.bindings(host)
        if row["source"]
        and not (row["destination_type"] == "queue" and row["destination"] in exclusive)
    ]


def import_all(call: Call) -> Any:
    """Define what the document says."""
    definitions = call.body(Definitions)
    gateway = call.gateway
    known = {*gateway.virtual_hosts, *(host.name for host in definitions.vhosts)}
    in_hosts: list[_InHost] = [
        *(each for each in definitions.parameters if parameters.is_known(each.component)),
        *definitions.policies,
        *definitions.queues,
        *definitions.exchanges,
        *definitions.bindings,
    ]
    wanted = {row.vhost or "" for row in in_hosts}
    wanted.update(each.vhost for each in definitions.permissions)
    wanted.update(each.vhost for each in definitions.topic_permissions)
    if missing := sorted(wanted - known):
        raise bad_request(f"vhost '{missing[0]}' is not there, and not in the document")
    for host in definitions.vhosts:
        _import_host(gateway, host)
    for user in definitions.users:
        _import_user(gateway, user)
    for each in definitions.permissions:
        granted = Permission(each.user, each.vhost, each.configure, each.write, each.read)
        gateway.permissions.put(granted)
    for topic in definitions.topic_permissions:
        gateway.permissions.put_topic(
            TopicPermission(topic.user, topic.vhost, topic.exchange, topic.write, topic.read)
        )
    for parameter in definitions.global_parameters:
        gateway.global_parameters.put(parameter.name, parameter.value)
    _import_into_hosts(gateway, definitions, None)
    return NO_CONTENT


def import_virtual_host(call: Call) -> Any:
    """Define in one virtual host what the document says of such."""
    _import_into_hosts(call.gateway, call.body(Definitions), call.virtual_host.name)
    return NO_CONTENT


def _import_host(gateway: Gateway, host: _Host) -> None:
    if not host.name:
        raise bad_request("a virtual host needs a name")
    default_queue_type = host.default_queue_type or host.metadata.get("default_queue_type")
    gateway.put_virtual_host(
        host.name,
        host.description or str(host.metadata.get("description", "")),
        parse_tags(host.tags or host.metadata.get("tags", "")),
        str(default_queue_type or "classic"),
    )


def _import_user(gateway: Gateway, user: _User) -> None:
    gateway.users.put(
        user.name,
        password=user.password,
        password_hash=user.password_hash,
        algorithm=user.hashing_algorithm,
        tags=parse_tags(user.tags),
    )
    if isinstance(user.limits, dict):
        for limit, value in user.limits.items():
            gateway.users.set_limit(user.name, limit, value)


def _import_into_hosts(gateway: Gateway, definitions: Definitions, into: str | None) -> None:
    """Policies first, so that what is declared follows them at once; bindings last."""

    def host_of(row: _InHost) -> VirtualHost:
        return gateway.find_virtual_host(into if into is not None else row.vhost or "")

    for parameter in definitions.parameters:
        component, name = parameter.component, parameter.name
        if parameters.is_known(component):
            parameters.put(gateway, host_of(parameter), component, name, parameter.value)
        else:
            _log.warn(
                "the parameter {name} is not imported: there is no component {component}",
                name=name,
                component=component,
            )
    for each in definitions.policies:
        policy = Policy(each.name, each.pattern, each.definition, each.priority, each.apply_to)
        host_of(each).policies.put("policy", policy)
    for exchange in definitions.exchanges:
        if exchange.name.startswith("amq.") or not exchange.name:
            continue
        host_of(exchange).declare_exchange(exchange.named(exchange.name))
    for queue in definitions.queues:
        host_of(queue).declare_queue(queue.named(queue.name), imported=True)
    for row in definitions.bindings:
        wanted = QueueBinding if row.destination_type == "queue" else ExchangeBinding
        host_of(row).bind(wanted(row.destination, row.source, row.routing_key, row.arguments))
