"""What an administrator changes while an example runs: policies, permissions, limits."""

from __future__ import annotations

from typing import Any

from tests.differential.author import Author
from tests.differential.definitions import (
    ELSEWHERE,
    HOME,
    HOUR_MS,
    PERMISSIONS,
    TOPIC_PERMISSIONS,
)
from tests.differential.operations import Manage

_QUEUE_KEYS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("message-ttl", (0, 0, HOUR_MS)),
    ("expires", (HOUR_MS,)),
    ("max-length", (0, 1, 1, 2, 4)),
    ("max-length-bytes", (0, 7, 12)),
    ("dead-letter-exchange", ("", "", "amq.fanout", "~x1", "~none")),
    ("dead-letter-routing-key", ("~q1", "~q2", "~q3", "a")),
)
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_EXCHANGE_KEYS = (("alternate-exchange", ("amq.fanout", "~x2", "~x3", "~none")),)
_OPERATOR_KEYS = tuple(
    (name, values)
    for name, values in _QUEUE_KEYS
    if name in ("message-ttl", "expires", "max-length", "max-length-bytes")
)
_WRONG: tuple[dict[str, Any], ...] = (
    {},
    {"message-ttl": -1},
    {"max-length": "1"},
    {"overflow": "drop-tail"},
    {"unknown": 1},
    {"dead-letter-exchange": 1},
)
_PATTERNS = ("^~", "^~q1$", "^~q[12]$", "^~x", "^amq.gen", "^~none$")
_RIGHTS = (".*", "", "^~", "q1$", "^amq", *PERMISSIONS.values())
_TOPIC_EXCHANGES = ("amq.topic", "~x1", "~x2")
_TOPIC_RIGHTS = (".*", "", "^a", "b$", r"^a\.b$", "^{username}")


def draw_policy(author: Author, *, refuses: bool) -> Manage:
    """A policy or an operator policy, put there, put there once more, or taken away.

    One of its own says what happens to what is too much, if it `refuses` that at times. It stays,
    and does not begin to refuse where it begins to limit: of these see `differences`.
    """
    if refuses and author.happens(15):
        definition: dict[str, Any] = {"overflow": author.pick(_OVERFLOWS)}
        if definition["overflow"] == "drop-head":
            definition["max-length"] = author.pick((0, 1, 2))
        return _put_policy(("policies", HOME, "~p3"), author.pick(_PATTERNS[:3]), definition, 3)
    is_operators = author.happens(30)
    path = (
        "operator-policies" if is_operators else "policies",
        HOME,
        author.pick(("~p1", "~p2")),
    )
    if author.happens(25):
        return Manage("DELETE", path)
    applies_to = author.pick(("queues", "queues", "exchanges", "all"))
    keys = [*_QUEUE_KEYS, *_EXCHANGE_KEYS] if applies_to == "all" else list(_QUEUE_KEYS)
    if applies_to == "exchanges":
        keys = list(_EXCHANGE_KEYS)
    if is_operators:
        applies_to, keys = "queues", list(_OPERATOR_KEYS)
    definition = {}
    for name, values in (author.pick(keys) for _ in range(author.pick((1, 1, 2, 3)))):
        definition[name] = author.pick(values)
    if author.happens(6):
        definition = author.pick(_WRONG[:2] if is_operators else _WRONG)
    pattern, priority = author.pick(_PATTERNS), author.pick((0, 1, 2))
    return _put_policy(path, pattern, definition, priority, applies_to)


def _put_policy(
    path: tuple[str, ...],
    pattern: str,
    definition: dict[str, Any],
    priority: int,
    applies_to: str = "queues",
) -> Manage:
    named = {"pattern": pattern, "definition": definition, "priority": priority}
    return Manage("PUT", path, {**named, "apply-to": applies_to})


def draw_right(author: Author) -> Manage:
    """Permissions of the user `limited`, whose connection ends.

    RabbitMQ's channels remember what they have checked before.
    """
    if author.happens(30):
        path = "topic-permissions", HOME, "limited"
        topic_rights = {
            "exchange": author.pick(_TOPIC_EXCHANGES),
            "write": author.pick(_TOPIC_RIGHTS),
            "read": author.pick(_TOPIC_RIGHTS),
        }
        return _granted(author, path, topic_rights, TOPIC_PERMISSIONS)
    rights = {name: author.pick(_RIGHTS) for name in ("configure", "write", "read")}
    return _granted(author, ("permissions", HOME, "limited"), rights, PERMISSIONS)


def _granted(
    author: Author, path: tuple[str, ...], rights: dict[str, str], before: dict[str, str]
) -> Manage:
    if author.happens(15):
        return Manage("DELETE", path, undone_by=before, drops=True)
    return Manage("PUT", path, rights, undone_by=before, drops=True)


def draw_limit(author: Author) -> Manage:
    """How much there may be elsewhere, or of one user."""
    path = author.pick(
        (
            ("vhost-limits", ELSEWHERE, "max-queues"),
            ("vhost-limits", ELSEWHERE, "max-connections"),
            ("user-limits", "limited", "max-connections"),
            ("user-limits", "limited", "max-channels"),
        )
    )
    if author.happens(20):
        return Manage("DELETE", path)
    return Manage("PUT", path, {"value": author.pick((0, 1, 1, 2, 3, -1))})
