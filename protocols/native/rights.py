"""What native clients may do: what one user of the gateway may, in the default virtual host.

The protocol has no login here, so the configuration names the user, for all clients. Like any user
it may be one who comes from this machine only.

To send to a topic is to publish, and to create one is to declare a queue: that takes the rights
that it takes in AMQP. To read a topic takes the right to read what is called so. The retry and dead
letter topics that the broker fills for a group need no right to write.
"""

from __future__ import annotations

from gateway.connections import Connection
from gateway.gateway import Gateway
from gateway.queues.queue import Queue
from gateway.security.access import UserVirtualHost

DEFAULT_USER = "guest"


class Rights:
    """The rights of all native clients."""

    def __init__(self, gateway: Gateway, user: str) -> None:
        self._gateway = gateway
        self._user = user
        self._view: UserVirtualHost | None = None  # The gateway keeps it only while we do.

    def admit(self, peer_host: str) -> None:
        """May a client come from there? Raises `LoginRefusedError`."""
        self._gateway.login_external(self._user, peer_host)

    def open(self, connection: Connection, peer_host: str) -> None:
        """The same for a connection that is to be listed, and for which there may be limits.

        Also raises `NotAllowedError`.
        """
        self.admit(peer_host)
        host = self._gateway.default_virtual_host.name
        self._gateway.open_virtual_host(self._user, host)
        self._gateway.connections.add(connection, self._user, host)

    def close(self, connection: Connection) -> None:
        """The connection is gone; it may not have been listed."""
        self._gateway.connections.remove(connection)

    def enter(self) -> UserVirtualHost:
        """The default virtual host as clients may use it. Raises `NotAllowedError`."""
        host = self._gateway.default_virtual_host
        self._view = self._gateway.enter_virtual_host(self._user, host.name)
        return self._view

    def check_readable(self, topic: str) -> None:
        """May a topic of this name be read? Raises `AccessRefusedError`, `NotAllowedError`."""
        self.enter().check_readable(topic)

    def may_see(self, topic: str) -> bool:
        """May a topic of this name be read, or something be sent to it?"""
        exchanges = self._gateway.default_virtual_host.exchanges
        sent_to = topic if topic in exchanges else "amq.default"  # As permissions name that one.
        return self._allows("read", topic) or self._allows("write", sent_to)

    def may_read(self, queue: Queue) -> bool:
        """May what is in this queue of the default virtual host be read?"""
        return not queue.exclusive and self._allows("read", queue.name)

    def _allows(self, access: str, name: str) -> bool:
        host = self._gateway.default_virtual_host.name
        permission = self._gateway.permissions.find(self._user, host)
        return permission is not None and permission.allows(access, name)
