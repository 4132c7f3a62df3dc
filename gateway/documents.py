"""What the parts of the gateway that remember things need of the broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Documents(Protocol):
    """Small documents by kind and key; the broker's metadata."""

    def documents(self, kind: str) -> Mapping[str, Any]:
        """All documents of a kind, by key."""

    def put_document(self, kind: str, key: str, document: Any) -> None:
        """Remember a document; durable as `Broker.when_durable` says."""

    def delete_document(self, kind: str, key: str) -> None:
        """Forget a document; one that is not there is no error."""
