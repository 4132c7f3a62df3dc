"""What the gateway refuses, in RabbitMQ's words; each front end maps the classes to its own codes.

The text of each error is the explanation that follows RabbitMQ's constant on the wire
(`NOT_FOUND - <text>`), so that every front end can show it as its users expect.
"""

from core.errors import CoreError


class GatewayError(CoreError):
    """A request that the gateway refuses; `constant` is the AMQP reply constant."""

    constant = "INTERNAL_ERROR"


class AccessRefusedError(GatewayError):
    """The user, or anyone, may not do this (AMQP 403)."""

    constant = "ACCESS_REFUSED"


class NotFoundError(GatewayError):
    """A named queue, exchange or virtual host does not exist (AMQP 404)."""

    constant = "NOT_FOUND"


class ResourceLockedError(GatewayError):
    """The queue is exclusive to another connection (AMQP 405)."""

    constant = "RESOURCE_LOCKED"


class PreconditionFailedError(GatewayError):
    """The request contradicts what exists (AMQP 406)."""

    constant = "PRECONDITION_FAILED"


class NotAllowedError(GatewayError):
    """The connection may not have this at all (AMQP 530)."""

    constant = "NOT_ALLOWED"


class NotSupportedError(GatewayError):
    """A queue of this type has no such operation (AMQP 540)."""

    constant = "NOT_IMPLEMENTED"


class LoginRefusedError(GatewayError):
    """The name or password is wrong, or the user may not come from this address."""

    constant = "ACCESS_REFUSED"
