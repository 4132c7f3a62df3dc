"""What both brokers begin with: users, their permissions, and sets of policies.

A set of policies is for the names of one example: they begin with the name of the set, followed by
eight hexadecimal digits.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.differential.client import CAPABILITIES

PLUGINS = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_jms_topic_exchange",
)

LIMITED, INCAPABLE = 2, 3
# Connection -> its user, and what the client announces that it can.
LOGINS: dict[int, tuple[str, Sequence[str]]] = {
    0: ("guest", CAPABILITIES),
    1: ("guest", CAPABILITIES),
    LIMITED: ("limited", CAPABILITIES),
    INCAPABLE: ("guest", ()),
}

NO_POLICIES = "d"
_HOUR_MS = 3_600_000

# Set -> object -> what its policy says; an object that begins with `!` has an operator policy.
_POLICIES: dict[str, dict[str, dict[str, Any]]] = {
    "lengths": {
        "q1": {"max-length": 2},
        "q2": {"max-length": 1, "overflow": "reject-publish"},
        "!q2": {"max-length": 2},
        "q3": {"max-length-bytes": 12},
        "!q3": {"max-length": 1},
        "x1": {"alternate-exchange": "amq.fanout"},
    },
    "letters": {
        "q1": {"dead-letter-exchange": "amq.fanout", "message-ttl": 0},
        "q2": {"dead-letter-exchange": "amq.fanout", "dead-letter-routing-key": "a",
               "max-length": 1},
        "q3": {"dead-letter-exchange": "", "message-ttl": _HOUR_MS, "expires": _HOUR_MS},
        "!q3": {"message-ttl": 0},
        "x2": {"alternate-exchange": "amq.direct"},
    },
    "returns": {
        "q1": {"delivery-limit": 1},
        "q2": {"delivery-limit": 3, "dead-letter-exchange": "amq.fanout"},
        "!q2": {"delivery-limit": 0},
        "x1": {"alternate-exchange": "amq.topic"},
    },
}  # fmt: skip
POLICIES = tuple(_POLICIES)


def write_definitions(folder: Path) -> Path:
    """The document that both read, as a file."""
    path = folder / "definitions.json"
    path.write_text(json.dumps(_definitions()))
    return path


def define(http_port: int, path: Path) -> None:
    """Have our broker read it; RabbitMQ reads it when it starts."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{http_port}/api/definitions",
        path.read_bytes(),
        {
            "Authorization": f"Basic {base64.b64encode(b'guest:guest').decode()}",
            "Content-Type": "application/json",
        },
    )
    urllib.request.urlopen(request, timeout=20).close()


def _definitions() -> dict[str, Any]:
    return {
        "vhosts": [{"name": "/"}, {"name": "private"}],
        "users": [
            {"name": "guest", "password": "guest", "tags": "administrator"},
            {"name": "limited", "password": "limited", "tags": ""},
        ],
        "permissions": [
            {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
            {
                "user": "limited",
                "vhost": "/",
                "configure": r"-[qx][12]$|^amq\.gen",
                "write": r"-[qx][13]$|^amq\.(gen|default|topic)",
                "read": r"-[qx][23]$|^amq\.topic",
            },
        ],
        "topic_permissions": [
            {"user": "limited", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": "b$"}
        ],
        "policies": _policies(is_operator=False),
        "parameters": [
            {
                "vhost": "/",
                "component": "operator_policy",
                "name": each["name"],
                "value": {name: each[name] for name in _POLICY_FIELDS},
            }
            for each in _policies(is_operator=True)
        ],
    }


_POLICY_FIELDS = ("pattern", "definition", "priority", "apply-to")


def _policies(*, is_operator: bool) -> list[dict[str, Any]]:
    return [
        {
            "vhost": "/",
            "name": f"{group}-{name}",
            "pattern": f"^{group}[0-9a-f]{{8}}-{name.removeprefix('!')}$",
            "definition": definition,
            "priority": 1,
            "apply-to": "exchanges" if name.startswith("x") else "queues",
        }
        for group, policies in _POLICIES.items()
        for name, definition in policies.items()
        if name.startswith("!") == is_operator
    ]
