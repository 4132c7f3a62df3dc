"""Names that clients give, and names that we make up."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode

from gateway.errors import AccessRefusedError


def clean_name(name: str) -> str:
    """RabbitMQ strips line breaks from the names in declarations."""
    return name.replace("\r", "").replace("\n", "")


def random_name() -> str:
    """A name that nobody can guess."""
    return urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def refuse_reserved(name: str) -> None:
    """RabbitMQ does so before it looks who declares a queue, and whether there is one.

    Raises `AccessRefusedError`.
    """
    if name.startswith("amq."):
        raise AccessRefusedError(f"queue name '{name}' contains reserved prefix 'amq.*'")
