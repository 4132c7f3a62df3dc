"""Documents in memory, for what remembers things through `gateway.documents.Documents`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MemoryDocuments:
    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, Any]] = {}

    def documents(self, kind: str) -> Mapping[str, Any]:
        return self.kinds.get(kind, {})

    def put_document(self, kind: str, key: str, document: Any) -> None:
        self.kinds.setdefault(kind, {})[key] = document

    def delete_document(self, kind: str, key: str) -> None:
        self.kinds.get(kind, {}).pop(key, None)
