"""Who may log in: names, hashed passwords, tags and limits, as documents of the broker."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from ipaddress import ip_address

from gateway.documents import Documents
from gateway.errors import LoginRefusedError, NotFoundError, PreconditionFailedError
from gateway.security.passwords import NO_PASSWORD, PasswordHash, hash_password, parse_hash

DEFAULT_USER = "guest"
DEFAULT_PASSWORD = "guest"
ADMINISTRATOR = "administrator"
IMPERSONATOR = "impersonator"  # A user with this tag may publish as anybody (`user_id`).
USER_LIMITS = ("max-connections", "max-channels")
_KIND = "user"
_VERIFIED_COUNT_MAX = 1024


@dataclass(frozen=True, slots=True)
class User:
    """One user. Tags say what of the HTTP API it may use; limits below 0 are none."""

    name: str
    password_hash: PasswordHash
    tags: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)


class Users:
    """All users; those in `loopback_users` may come from this machine only."""

    def __init__(
        self, documents: Documents, loopback_users: Collection[str] = (DEFAULT_USER,)
    ) -> None:
        self._documents = documents
        self._loopback_users = frozenset(loopback_users)
        self._users: dict[str, User] = {}
        # A scrypt takes its time, and clients reconnect all at once, or again and again with what
        # is wrong: what was tried once is recognised by a digest whose key is in this process's
        # memory only.
        self._secret = os.urandom(32)
        self._verified: dict[bytes, tuple[PasswordHash, bool]] = {}

    def restore(self) -> None:
        """Read the users from their documents."""
        for name, (text, algorithm, tags, limits) in self._documents.documents(_KIND).items():
            self._users[name] = User(name, PasswordHash(text, algorithm), tuple(tags), limits)

    def __iter__(self) -> Iterator[User]:
        return iter(self._users.values())

    def __contains__(self, name: object) -> bool:
        return name in self._users

    def find(self, name: str) -> User:
        """The user of this name. Raises `NotFoundError`."""
        user = self._users.get(name)
        if user is None:
            raise NotFoundError(f"no user '{name}'")
        return user

    def may_publish_as(self, name: str, author: str) -> bool:
        """May messages of this user say that they are by `author`?"""
        if author == name:
            return True
        user = self._users.get(name)
        return user is not None and IMPERSONATOR in user.tags

    def limit(self, name: str, limit: str) -> int:
        """A limit of a user; -1 is none."""
        user = self._users.get(name)
        return -1 if user is None else user.limits.get(limit, -1)

    def put(
        self,
        name: str,
        *,
        password: str | None = None,
        password_hash: str | None = None,
        algorithm: str = "",
        tags: Sequence[str] = (),
    ) -> bool:
        """Create or change a user; with neither password nor hash it cannot log in with one.

        True if it is new. Raises `PreconditionFailedError`.
        """
        if not name:
            raise PreconditionFailedError("a user needs a name")
        if password == "":
            raise PreconditionFailedError("a blank password is not allowed")
        hashed = NO_PASSWORD
        try:
            if password is not None:
                hashed = hash_password(_octets(password))
            elif password_hash is not None:
                hashed = parse_hash(password_hash, algorithm or NO_PASSWORD.algorithm)
        except ValueError as error:
            raise PreconditionFailedError(str(error)) from None
        known = self._users.get(name)
        self._store(User(name, hashed, tuple(tags), known.limits if known is not None else {}))
        return known is None

    def set_limit(self, name: str, limit: str, value: int | None) -> None:
        """Set a limit, or lift it. Raises `NotFoundError`, `PreconditionFailedError`."""
        user = self.find(name)
        if limit not in USER_LIMITS:
            raise PreconditionFailedError(f"'{limit}' is no limit of a user")
        limits = {key: given for key, given in user.limits.items() if key != limit}
        self._store(replace(user, limits=limits if value is None else {**limits, limit: value}))

    def delete(self, name: str) -> None:
        """Forget a user. Raises `NotFoundError`."""
        self.find(name)
        self._documents.delete_document(_KIND, name)
        del self._users[name]

    def login(self, name: str, password: str, peer_host: str) -> str:
        """Return the name of the user. Raises `LoginRefusedError`."""
        user = self._users.get(name)
        if user is None or not self._is_right(user, _octets(password)):
            raise LoginRefusedError(f"user '{name}' - invalid credentials")
        return self._from_here(name, peer_host)

    def login_external(self, name: str, peer_host: str) -> str:
        """Log in a user who has proved who it is by other means. Raises `LoginRefusedError`."""
        if name not in self._users:
            raise LoginRefusedError(f"user '{name}' does not exist")
        return self._from_here(name, peer_host)

    def _from_here(self, name: str, peer_host: str) -> str:
        if name in self._loopback_users and not _is_loopback(peer_host):
            raise LoginRefusedError(f"user '{name}' can only connect via localhost")
        return name

    def _is_right(self, user: User, password: bytes) -> bool:
        name = _octets(user.name)
        message = len(name).to_bytes(4, "big") + name + password
        key = blake2b(message, key=self._secret).digest()
        hashed = user.password_hash
        known_hash, is_right = self._verified.get(key, (None, False))
        # Compared with what is known now: a changed password is not right any more.
        if known_hash != hashed:
            is_right = hashed.fits(password)
            if len(self._verified) >= _VERIFIED_COUNT_MAX:
                self._verified.clear()
            self._verified[key] = hashed, is_right
        return is_right

    def _store(self, user: User) -> None:
        hashed = user.password_hash
        document = [hashed.text, hashed.algorithm, list(user.tags), dict(user.limits)]
        self._documents.put_document(_KIND, user.name, document)
        self._users[user.name] = user


def _octets(text: str) -> bytes:
    """What a client sent as UTF-8, or as something that only looked like it."""
    return text.encode("utf-8", "surrogatepass")


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
