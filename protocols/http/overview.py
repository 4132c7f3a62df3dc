"""What the broker says of itself: overview, the one node, health."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING, Any

from gateway.exchanges.exchange import TYPES
from gateway.gateway import RABBITMQ_VERSION
from protocols.http import views
from protocols.http.call import Answer, Call, has_role, not_found

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.vhosts.virtual_host import VirtualHost

CLUSTER_NAME = "rosettamq"
_OK = {"status": "ok"}
# What health checks call the protocols, besides the names of the listeners.
_PROTOCOLS = {"amqp091": "amqp", "amqp0.9.1": "amqp", "management": "http"}


def overview(call: Call) -> Any:
    """Versions, totals, listeners."""
    gateway = call.gateway
    hosts = list(call.virtual_hosts())
    answer = {
        "management_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "RosettaMQ",
        "product_version": gateway.product_version,
        "cluster_name": CLUSTER_NAME,
        "erlang_version": "",
        "erlang_full_version": f"Python {sys.version.partition(' ')[0]}",
        "rates_mode": "none",
        "node": views.NODE,
        "exchange_types": _exchange_types(),
        "message_stats": {},
        "churn_rates": {},
        "statistics_db_event_queue": 0,
        "queue_totals": _queue_totals(hosts),
        "object_totals": _object_totals(call, hosts),
    }
    if has_role(call.user, "monitoring"):
        answer["listeners"] = _listeners(call)
        answer["contexts"] = [
            {"node": views.NODE, "description": "RabbitMQ Management", "path": "/",
             "ip": host, "port": port}
            for name, (host, port) in gateway.addresses.items()
            if name == "http"
        ]  # fmt: skip
    return answer


def _queue_totals(hosts: list[VirtualHost]) -> dict[str, int]:
    queues = [queue for host in hosts for queue in host.queues.values()]
    ready_count = sum(queue.ready_count for queue in queues)
    unsettled_count = sum(queue.unsettled_count for queue in queues)
    return {
        "messages": ready_count + unsettled_count,
        "messages_ready": ready_count,
        "messages_unacknowledged": unsettled_count,
    }


def _object_totals(call: Call, hosts: list[VirtualHost]) -> dict[str, int]:
    entries = [entry for entry in call.gateway.connections if call.may_see(entry.virtual_host)]
    return {
        "connections": len(entries),
        "channels": sum(len(entry.connection.channel_facts()) for entry in entries),
        "exchanges": sum(len(host.exchanges) for host in hosts),
        "queues": sum(len(host.queues) for host in hosts),
        "consumers": sum(queue.consumer_count for host in hosts for queue in host.queues.values()),
    }


def _exchange_types() -> list[dict[str, Any]]:
    return [{"name": name, "description": "", "enabled": True} for name in TYPES]


def _listeners(call: Call) -> list[dict[str, Any]]:
    return [
        {"node": views.NODE, "protocol": name, "ip_address": host, "port": port}
        for name, (host, port) in call.gateway.addresses.items()
    ]


def who_am_i(call: Call) -> Any:
    """The user, as the request says it."""
    return {"name": call.user.name, "tags": list(call.user.tags)}


def cluster_name(call: Call) -> Any:
    """There is one node, so the name is a word."""
    return {"name": CLUSTER_NAME}


def version(call: Call) -> Any:
    """Whose API this is."""
    return RABBITMQ_VERSION


def empty_list(call: Call) -> Any:
    """What RabbitMQ has and we do not (yet)."""
    return []


def nodes(call: Call) -> Any:
    """The one node."""
    return [_node(call)]


def node(call: Call) -> Any:
    """The same, by its name."""
    if call.names["node"] != views.NODE:
        raise not_found()
    return _node(call)


def _node(call: Call) -> dict[str, Any]:
    gateway = call.gateway
    used = resource.getrusage(resource.RUSAGE_SELF)
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "name": views.NODE,
        "type": "disc",
        "running": True,
        "uptime": int((gateway.clock.seconds() - gateway.started_at) * 1000),
        "mem_used": used.ru_maxrss * 1024,  # The most that it ever was.
        "mem_alarm": False,
        "disk_free_alarm": False,
        "fd_total": descriptors,
        "sockets_used": len(list(gateway.connections)),
        "partitions": [],
        "applications": [
            {"name": "rosettamq", "description": "RosettaMQ", "version": gateway.product_version}
        ],
        "enabled_plugins": list(gateway.addresses),
        "exchange_types": _exchange_types(),
        "auth_mechanisms": _auth_mechanisms(gateway),
        "rates_mode": "none",
    }


def _auth_mechanisms(gateway: Gateway) -> list[dict[str, Any]]:
    """How AMQP clients may log in; EXTERNAL is for whom a certificate speaks."""
    takes_certificates = gateway.asks_for_certificates and "amqps" in gateway.addresses
    enabled = {"PLAIN": True, "AMQPLAIN": True, "EXTERNAL": takes_certificates}
    return [{"name": name, "description": "", "enabled": enabled[name]} for name in enabled]


# Health


def healthy(call: Call) -> Any:
    """Whoever answers is up, and there are no alarms."""
    return _OK


def virtual_hosts_are_up(call: Call) -> Any:
    """They live and die with the broker."""
    return _OK


def port_is_open(call: Call) -> Any:
    """Is a listener open on this port?"""
    ports = [port for _, port in call.gateway.addresses.values()]
    if call.names["port"] in map(str, ports):
        return {**_OK, "port": int(call.names["port"])}
    return _failed({"reason": "No active listener", "missing": call.names["port"], "ports": ports})


def protocol_is_open(call: Call) -> Any:
    """Is a listener of this protocol open?"""
    name = call.names["protocol"].lower()
    open_now = list(call.gateway.addresses)
    if _PROTOCOLS.get(name, name) in open_now:
        return {**_OK, "protocol": name}
    return _failed({"reason": "No active listener", "missing": name, "protocols": open_now})


def _failed(details: dict[str, Any]) -> Answer:
    return Answer(503, {"status": "failed", **details})


def aliveness(call: Call) -> Any:
    """Does the virtual host work? It does if it is there."""
    assert call.virtual_host
    return _OK
