"""CONNECT: which version is spoken, who logs in, and to which virtual host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, LoginRefusedError
from protocols.stomp.config import StompConfig
from protocols.stomp.errors import RequestRefusedError

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.security.access import UserVirtualHost

VERSIONS = ("1.0", "1.1", "1.2")
VERSION_LIST = ",".join(VERSIONS)
_DEFAULT_VIRTUAL_HOST = "/"


def negotiate(accept_version: str | None) -> str | None:
    """The highest version that both speak; a client that names none speaks 1.0."""
    if accept_version is None:
        return "1.0"
    offered = {version.strip() for version in accept_version.split(",")}
    return max(offered.intersection(VERSIONS), default=None)


@dataclass(slots=True)
class Login:
    """Who is at the other end, from what is known beside CONNECT."""

    gateway: Gateway
    config: StompConfig
    peer_host: str
    certificate_user: str | None = None  # Whom a client certificate speaks for.
    # Who logs in, whatever CONNECT says: for those who have learnt it otherwise.
    credentials: tuple[str, str] | None = None

    def version(self, headers: Mapping[str, str]) -> str:
        """The version to speak. Raises `RequestRefusedError`."""
        version = negotiate(headers.get("accept-version"))
        if version is None:
            raise RequestRefusedError(
                "Version mismatch", f"Supported versions are {VERSION_LIST}\n", closing=True
            )
        return version

    def user(self, headers: Mapping[str, str]) -> str:
        """The name of the user who has logged in. Raises `RequestRefusedError`."""
        config = self.config
        name = headers.get("login", config.default_user)
        password = headers.get("passcode", config.default_password)
        certified = self.certificate_user
        try:
            if self.credentials is not None:
                name, password = self.credentials
            elif config.ssl_cert_login and certified is not None and "login" not in headers:
                name = certified
                return self.gateway.login_external(certified, self.peer_host)
            elif not name and "login" not in headers:
                raise _bad_connect("Missing login or passcode header(s)")
            return self.gateway.login(name, password, self.peer_host)
        except LoginRefusedError as error:
            if "localhost" in str(error):
                raise _bad_connect("non-loopback access denied") from error
            raise _bad_connect(f"Access refused for user '{name}'") from error

    def virtual_host(self, user: str, headers: Mapping[str, str]) -> UserVirtualHost:
        """The virtual host that is asked for. Raises `RequestRefusedError`.

        Clients of ActiveMQ name the machine: what is no virtual host means the default one then.
        """
        host = headers.get("host", _DEFAULT_VIRTUAL_HOST)
        if self.config.personality == "activemq" and host not in self.gateway.virtual_hosts:
            host = _DEFAULT_VIRTUAL_HOST
        try:
            return self.gateway.open_virtual_host(user, host)
        except GatewayError as error:
            raise _bad_connect(f"Virtual host '{host}' access denied") from error


def _bad_connect(detail: str) -> RequestRefusedError:
    return RequestRefusedError("Bad CONNECT", detail, closing=True)
