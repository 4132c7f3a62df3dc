"""What the API shows of things: one function each, from an object to a JSON object."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from gateway.exchanges.delayed_exchanges import TYPE as DELAYED_TYPE
from gateway.exchanges.exchange import Exchange

if TYPE_CHECKING:
    from gateway.connections import ChannelFacts, ConsumerFacts, Entry
    from gateway.exchanges.bindings import Binding
    from gateway.gateway import Gateway
    from gateway.policies.policies import Policy
    from gateway.queues.queue import Queue
    from gateway.security.permissions import Permission, TopicPermission
    from gateway.security.users import User
    from gateway.vhosts.virtual_host import VirtualHost

NODE = "rosettamq@localhost"
_MEMBERS = {"leader": NODE, "members": [NODE], "online": [NODE]}  # Of a replicated queue.

# Of a consumer, by whether it is the single active one.
_ACTIVITIES = {None: "up", True: "single_active", False: "waiting"}


def virtual_host(host: VirtualHost) -> dict[str, Any]:
    """One virtual host, with the sums of its queues."""
    queues = host.queues.values()
    ready_count = sum(queue.ready_count for queue in queues)
    unsettled_count = sum(queue.unsettled_count for queue in queues)
    return {
        "name": host.name,
        "description": host.description,
        "tags": list(host.tags),
        "default_queue_type": host.default_queue_type,
        "metadata": {
            "description": host.description,
            "tags": list(host.tags),
            "default_queue_type": host.default_queue_type,
        },
        "tracing": False,
        "cluster_state": {NODE: "running"},
        "messages": ready_count + unsettled_count,
        "messages_ready": ready_count,
        "messages_unacknowledged": unsettled_count,
    }


def user(user: User) -> dict[str, Any]:
    """One user; its password is a hash."""
    return {
        "name": user.name,
        "password_hash": user.password_hash.text,
        "hashing_algorithm": user.password_hash.algorithm,
        "tags": list(user.tags),
        "limits": dict(user.limits),
    }


def permission(permission: Permission) -> dict[str, Any]:
    """What one user may do in one virtual host."""
    return {
        "user": permission.user,
        "vhost": permission.virtual_host,
        "configure": permission.configure,
        "write": permission.write,
        "read": permission.read,
    }


def topic_permission(permission: TopicPermission) -> dict[str, Any]:
    """What keys one user may use at one exchange."""
    return {
        "user": permission.user,
        "vhost": permission.virtual_host,
        "exchange": permission.exchange,
        "write": permission.write,
        "read": permission.read,
    }


def policy(virtual_host: str, policy: Policy) -> dict[str, Any]:
    """One policy, or operator policy."""
    return {"vhost": virtual_host, "name": policy.name, **policy_value(policy)}


def policy_value(policy: Policy) -> dict[str, Any]:
    """What it says, as the value of a parameter."""
    return {
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "definition": dict(policy.definition),
        "priority": policy.priority,
    }


def queue(queue: Queue) -> dict[str, Any]:
    """One queue; the counts are exact."""
    ready_count, unsettled_count = queue.ready_count, queue.unsettled_count
    return {
        "name": queue.name,
        "vhost": queue.virtual_host.name,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "exclusive": queue.exclusive,
        # Who named no type reads here which it was; declared again, either way is equivalent.
        "arguments": {**queue.arguments, "x-queue-type": queue.type.name},
        "node": NODE,
        "state": "running",
        "paused": queue.paused,
        "type": queue.type.name,
        **_policies(queue),
        "messages": ready_count + unsettled_count,
        "messages_ready": ready_count,
        "messages_unacknowledged": unsettled_count,
        "consumers": queue.consumer_count,
        **(_MEMBERS if queue.type.must_last else {}),
    }


def exchange(exchange: Exchange) -> dict[str, Any]:
    """One exchange."""
    return {
        "name": exchange.name,
        "vhost": exchange.virtual_host,
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": exchange.arguments,
        **_policies(exchange),
        "user_who_performed_action": "rmq-internal",
    }


def _policies(held_by: Queue | Exchange) -> dict[str, Any]:
    """Which policies hold for it, and what they let pass."""
    return {
        "policy": held_by.policies.policy,
        "operator_policy": held_by.policies.operator_policy,
        "effective_policy_definition": dict(held_by.policies.definition),
        "unequal_declaration": held_by.unequal_declaration,
    }


def delays(host: VirtualHost, exchange: Exchange) -> dict[str, Any]:
    """How many messages wait in an exchange that delays; nothing of any other."""
    if exchange.type != DELAYED_TYPE:
        return {}
    return {"messages_delayed": host.delays.count(exchange.name)}


def binding(source: Exchange, binding: Binding) -> dict[str, Any]:
    """One binding; `properties_key` is its name in paths."""
    destination = binding.destination
    return {
        "source": source.name,
        "vhost": source.virtual_host,
        "destination": destination.name,
        "destination_type": "exchange" if isinstance(destination, Exchange) else "queue",
        "routing_key": binding.routing_key,
        "arguments": thaw(binding.arguments),
        "properties_key": properties_key(binding),
    }


def bindings(host: VirtualHost) -> Iterator[dict[str, Any]]:
    """All of a virtual host, with those that every queue has to the default exchange."""
    for name in host.queues:
        yield {
            "source": "",
            "vhost": host.name,
            "destination": name,
            "destination_type": "queue",
            "routing_key": name,
            "arguments": {},
            "properties_key": _quote(name),
        }
    for source in host.exchanges.values():
        for bound in source.bindings:
            yield binding(source, bound)


def properties_key(binding: Binding) -> str:
    """What tells a binding from others of the same two ends."""
    if not binding.arguments:
        return _quote(binding.routing_key) or "~"
    digest = md5(repr(binding.arguments).encode(), usedforsecurity=False).digest()
    hashed = urlsafe_b64encode(digest).decode().rstrip("=")
    return f"{_quote(binding.routing_key)}~{hashed}"


def _quote(text: str) -> str:
    return quote_plus(text, errors="surrogateescape").replace("~", "%7E")


def thaw(value: Any) -> Any:
    """Frozen binding arguments as tables and arrays again."""
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], type):  # What Python would take for another value's equal.
        return value[1]
    pairs = all(isinstance(each, tuple) and len(each) == 2 for each in value)
    if pairs and all(isinstance(name, str) for name, _ in value):
        return {name: thaw(each) for name, each in value}
    return [thaw(each) for each in value]


# Connections


def connection_name(entry: Entry) -> str:
    """How paths call a connection."""
    return str(entry.connection.facts().ends)


def connection(entry: Entry) -> dict[str, Any]:
    """One open connection."""
    facts = entry.connection.facts()
    ends = facts.ends
    properties = dict(facts.client_properties)
    return {
        "name": str(ends),
        "user_provided_name": properties.get("connection_name"),
        "user": entry.user,
        "vhost": entry.virtual_host,
        "protocol": facts.protocol,
        "state": "running",
        "channels": len(entry.connection.channel_facts()),
        "channel_max": facts.channel_max,
        "frame_max": facts.frame_max,
        "timeout": int(facts.heartbeat_s),
        "host": ends.host,
        "port": ends.port,
        "peer_host": ends.peer_host,
        "peer_port": ends.peer_port,
        "ssl": ends.tls,
        "auth_mechanism": facts.auth_mechanism,
        "client_properties": properties,
        "connected_at": int(facts.connected_at * 1000),
        "node": NODE,
        "type": "network",
    }


def connection_details(entry: Entry) -> dict[str, Any]:
    """How channels and consumers show their connection."""
    ends = entry.connection.facts().ends
    return {"name": str(ends), "peer_host": ends.peer_host, "peer_port": ends.peer_port}


def channel(entry: Entry, facts: ChannelFacts) -> dict[str, Any]:
    """One channel of a connection."""
    return {
        "name": f"{connection_name(entry)} ({facts.number})",
        "number": facts.number,
        "user": entry.user,
        "vhost": entry.virtual_host,
        "connection_details": connection_details(entry),
        "state": "running",
        "prefetch_count": facts.prefetch_count,
        "global_prefetch_count": facts.global_prefetch_count,
        "consumer_count": len(facts.consumers),
        "messages_unacknowledged": facts.unacknowledged_count,
        "messages_unconfirmed": facts.unconfirmed_count,
        "messages_uncommitted": 0,
        "acks_uncommitted": 0,
        "confirm": facts.confirming,
        "transactional": facts.transactional,
        "node": NODE,
    }


def consumer(entry: Entry, channel: ChannelFacts, facts: ConsumerFacts) -> dict[str, Any]:
    """One subscription."""
    name = connection_name(entry)
    ends = entry.connection.facts().ends
    return {
        "consumer_tag": facts.tag,
        "queue": {"name": facts.queue, "vhost": entry.virtual_host},
        "channel_details": {
            "name": f"{name} ({channel.number})",
            "number": channel.number,
            "user": entry.user,
            "connection_name": name,
            "peer_host": ends.peer_host,
            "peer_port": ends.peer_port,
            "node": NODE,
        },
        "ack_required": not facts.no_ack,
        "exclusive": facts.exclusive,
        "prefetch_count": facts.prefetch_count,
        "active": facts.single_active is not False,
        "activity_status": _ACTIVITIES[facts.single_active],
        "arguments": facts.arguments,
    }


def consumers(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """All subscriptions of all connections."""
    for entry in gateway.connections:
        for facts in entry.connection.channel_facts():
            for subscription in facts.consumers:
                yield consumer(entry, facts, subscription)
