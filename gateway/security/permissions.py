"""Who may do what: regular expressions per user and virtual host, as RabbitMQ has them.

They are searched for, not matched whole: `^...$` is the user's business. An empty one stands for
`^$`: nothing but the empty name. No entry at all means that the user may not even enter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from gateway.documents import Documents
from gateway.errors import PreconditionFailedError

_KIND = "permission"
_TOPIC_KIND = "topic_permission"
EVERYTHING = ".*"


@dataclass(frozen=True, slots=True)
class Permission:
    """What names a user may configure, write to and read from, in one virtual host."""

    user: str
    virtual_host: str
    configure: str
    write: str
    read: str

    def allows(self, access: str, name: str) -> bool:
        """May the user `access` ("configure", "write" or "read") what is called so?"""
        pattern: str = getattr(self, access)
        return _compile(pattern).search(name) is not None


@dataclass(frozen=True, slots=True)
class TopicPermission:
    """What routing keys a user may write to, and bind with, at one topic exchange."""

    user: str
    virtual_host: str
    exchange: str
    write: str
    read: str

    def allows(self, access: str, routing_key: str) -> bool:
        """May the user `access` ("write" or "read") this key?"""
        pattern: str = getattr(self, access)
        pattern = pattern.replace("{username}", re.escape(self.user))
        pattern = pattern.replace("{vhost}", re.escape(self.virtual_host))
        return _compile(pattern).search(routing_key) is not None


class Permissions:
    """All permissions; `changed` is called whenever they are not what they were."""

    def __init__(self, documents: Documents, changed: Callable[[], None]) -> None:
        self._documents = documents
        self._changed = changed
        self._permissions: dict[tuple[str, str], Permission] = {}
        self._topic_permissions: dict[tuple[str, str, str], TopicPermission] = {}

    def restore(self) -> None:
        """Read the permissions from their documents."""
        for user, host, *patterns in self._documents.documents(_KIND).values():
            self._permissions[user, host] = Permission(user, host, *patterns)
        for user, host, exchange, *patterns in self._documents.documents(_TOPIC_KIND).values():
            topic = TopicPermission(user, host, exchange, *patterns)
            self._topic_permissions[user, host, exchange] = topic

    def __iter__(self) -> Iterator[Permission]:
        return iter(self._permissions.values())

    @property
    def topics(self) -> Iterator[TopicPermission]:
        """All topic permissions."""
        return iter(self._topic_permissions.values())

    def find(self, user: str, virtual_host: str) -> Permission | None:
        """What a user may do in a virtual host; None if it may not enter."""
        return self._permissions.get((user, virtual_host))

    def find_topic(self, user: str, virtual_host: str, exchange: str) -> TopicPermission | None:
        """What keys a user may use at a topic exchange; None if any."""
        return self._topic_permissions.get((user, virtual_host, exchange))

    def put(self, permission: Permission) -> bool:
        """Grant; True if there was no entry. Raises `PreconditionFailedError`."""
        host, user = permission.virtual_host, permission.user
        patterns = [permission.configure, permission.write, permission.read]
        _check(patterns)
        is_new = (user, host) not in self._permissions
        self._documents.put_document(_KIND, f"{user}\0{host}", [user, host, *patterns])
        self._permissions[user, host] = permission
        self._changed()
        return is_new

    def put_topic(self, permission: TopicPermission) -> bool:
        """Restrict; True if there was no entry. Raises `PreconditionFailedError`."""
        key = permission.user, permission.virtual_host, permission.exchange
        patterns = [permission.write, permission.read]
        _check(patterns)
        is_new = key not in self._topic_permissions
        self._documents.put_document(_TOPIC_KIND, "\0".join(key), [*key, *patterns])
        self._topic_permissions[key] = permission
        self._changed()
        return is_new

    def delete(self, user: str, virtual_host: str) -> bool:
        """Take the permissions away; False if there were none."""
        if self._permissions.pop((user, virtual_host), None) is None:
            return False
        self._documents.delete_document(_KIND, f"{user}\0{virtual_host}")
        self._changed()
        return True

    def delete_topics(self, user: str, virtual_host: str, exchange: str | None = None) -> bool:
        """Lift the restrictions at one exchange, or at all; False if there were none."""
        found = [
            key
            for key in self._topic_permissions
            if key[:2] == (user, virtual_host) and exchange in (None, key[2])
        ]
        for key in found:
            self._documents.delete_document(_TOPIC_KIND, "\0".join(key))
            del self._topic_permissions[key]
        if found:
            self._changed()
        return bool(found)

    def delete_all_of(self, *, user: str | None = None, virtual_host: str | None = None) -> None:
        """A user, or a virtual host, is gone."""
        pairs = {(entry.user, entry.virtual_host) for entry in (*self, *self.topics)}
        for pair in pairs:
            if pair[0] == user or pair[1] == virtual_host:
                self.delete(*pair)
                self.delete_topics(*pair)


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern or "^$")


def _check(patterns: list[str]) -> None:
    for pattern in patterns:
        try:
            _compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise PreconditionFailedError(
                f"'{pattern}' is no regular expression: {error}"
            ) from None
