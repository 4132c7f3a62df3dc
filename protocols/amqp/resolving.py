"""Where the publishes of a connection lead: what the hot path in (`publishing`) asks for once.

It knows the channels and the virtual host, not the connection: who keeps routes is then no part of
a cycle, and a closed connection needs no garbage collector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.route import Route
from gateway.errors import GatewayError
from gateway.messages import Envelope, Header
from gateway.security.users import Users
from protocols.amqp.client import Client
from protocols.amqp.codec import decode_publish
from protocols.amqp.fields import FieldError
from protocols.amqp.language import AmqpLanguage
from protocols.amqp.properties import Checked, check, needs_checks
from protocols.amqp.publishing import Target
from protocols.amqp.replies import AmqpError

if TYPE_CHECKING:
    from gateway.security.access import UserVirtualHost
    from protocols.amqp.channel import Channel


class Resolver:
    """Finds targets and routes; `virtual_host` is set when the connection is open."""

    def __init__(
        self,
        language: AmqpLanguage,
        users: Users,
        client: Client,
        channels: Mapping[int, Channel],
        virtual_host: UserVirtualHost,
    ) -> None:
        self.virtual_host = virtual_host
        self._language = language
        self._users = users
        self._client = client
        self._channels = channels

    def target(self, method: bytes) -> Target | None:
        """A basic.publish frame -> where it leads; None if the general path must see to it."""
        channel = self._channels.get(int.from_bytes(method[1:3], "big"))
        if channel is None or not channel.is_ready:
            return None
        try:
            fields = decode_publish(method[11:-1])
            envelope = self._language.envelope(fields.exchange, fields.routing_key)
            if fields.immediate:
                return None
            route = self.virtual_host.route(envelope.exchange, envelope.routing_key, None)
        except (FieldError, GatewayError, OSError):
            return None
        return Target(channel, envelope, route)

    def is_amid_content(self, data: bytes, position: int) -> bool:
        """Is the channel of the frame at `position` in the middle of another message?"""
        channel = self._channels.get(int.from_bytes(data[position + 1 : position + 3], "big"))
        return channel is not None and channel.content is not None

    def route(self, envelope: Envelope, header: Header) -> Route:
        """The route of a message whose header matters. Raises `GatewayError`."""
        return self.virtual_host.route(envelope.exchange, envelope.routing_key, header)

    def is_plain(self, raw: bytes) -> bool:
        """Are these properties right, and stored as they are? Else the general path sees to it."""
        if not needs_checks(raw):
            return True
        user, may_publish_as = self._client.user, self._users.may_publish_as
        try:
            return check(raw, user, may_publish_as=may_publish_as) == Checked(raw)
        except (AmqpError, FieldError):
            return False

    def expect_expiry(self, route: Route) -> None:
        """A message with an expiration takes this route."""
        self.virtual_host.intake.expect_expiry(route)
