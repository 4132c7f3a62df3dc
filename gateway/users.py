"""Who may log in: for now the one default user, from this machine only."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from gateway.errors import LoginRefusedError

DEFAULT_USER = "guest"
DEFAULT_PASSWORD = "guest"


class Users:
    """The users and their passwords; all of them are loopback users."""

    def __init__(self) -> None:
        self._passwords = {DEFAULT_USER: DEFAULT_PASSWORD}

    def login(self, user: str, password: str, peer_host: str) -> str:
        """Return the name of the user. Raises `LoginRefusedError`."""
        known = self._passwords.get(user)
        given = password.encode()
        if known is None or not given or not hmac.compare_digest(known.encode(), given):
            raise LoginRefusedError(f"user '{user}' - invalid credentials")
        return self._from_loopback(user, peer_host)

    def login_external(self, user: str, peer_host: str) -> str:
        """Log in a user who has proved who it is by other means. Raises `LoginRefusedError`."""
        if user not in self._passwords:
            raise LoginRefusedError(f"user '{user}' does not exist")
        return self._from_loopback(user, peer_host)

    def _from_loopback(self, user: str, peer_host: str) -> str:
        if not _is_loopback(peer_host):
            raise LoginRefusedError(f"user '{user}' can only connect via localhost")
        return user


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
