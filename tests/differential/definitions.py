"""What both brokers begin with: users, their permissions, and sets of policies.

A set of policies is for the names of one example: they begin with the name of the set, followed by
eight hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.differential.client import CAPABILITIES
from tests.differential.management import DONE, Management

HOME, ELSEWHERE = "/", "elsewhere"


class Login(NamedTuple):
    """Who connects, what the client announces that it can, and where to."""

    user: str = "guest"
    capabilities: Sequence[str] = CAPABILITIES
    virtual_host: str = HOME


LIMITED, INCAPABLE, STRANGER = 2, 3, 4
# By connection.
LOGINS: dict[int, Login] = {
    0: Login(),
    1: Login(),
    LIMITED: Login("limited"),
    INCAPABLE: Login(capabilities=()),
    STRANGER: Login(virtual_host=ELSEWHERE),
}

_ALL = {"configure": ".*", "write": ".*", "read": ".*"}
# Of the user `limited`.
PERMISSIONS = {
    "configure": r"-[qx][12]$|^amq\.gen",
    "write": r"-[qx][13]$|^amq\.(gen|default|topic)",
    "read": r"-[qx][23]$|^amq\.topic",
}
TOPIC_PERMISSIONS = {"exchange": "amq.topic", "write": "^a", "read": "b$"}

NO_POLICIES = "d"
HOUR_MS = 3_600_000

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
        "q3": {"dead-letter-exchange": "", "message-ttl": HOUR_MS, "expires": HOUR_MS},
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


def define(http_port: int) -> None:
    """Have a broker begin with it."""
    management = Management(http_port)
    answer = management.call("POST", ("definitions",), _definitions())
    management.close()
    assert answer == DONE, answer


def _definitions() -> dict[str, Any]:
    return {
        "vhosts": [{"name": HOME}, {"name": ELSEWHERE}, {"name": "private"}],
        "users": [
            {"name": "guest", "password": "guest", "tags": "administrator"},
            {"name": "limited", "password": "limited", "tags": ""},
        ],
        "permissions": [
            {"user": "guest", "vhost": HOME, **_ALL},
            {"user": "guest", "vhost": ELSEWHERE, **_ALL},
            {"user": "limited", "vhost": HOME, **PERMISSIONS},
        ],
        "topic_permissions": [{"user": "limited", "vhost": HOME, **TOPIC_PERMISSIONS}],
        "policies": _policies(is_operator=False),
        "parameters": [
            {
                "vhost": HOME,
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
            "vhost": HOME,
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
