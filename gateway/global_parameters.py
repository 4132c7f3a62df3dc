"""Global parameters: values with a name that operators and their tools keep at the broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.documents import Documents

_KIND = "global_parameter"


class GlobalParameters:
    """All of them, by name; nothing here reads what they say."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._documents.documents(_KIND).items())

    def __contains__(self, name: object) -> bool:
        return name in self._documents.documents(_KIND)

    def __getitem__(self, name: str) -> Any:
        return self._documents.documents(_KIND)[name]

    def put(self, name: str, value: Any) -> bool:
        """Keep a value; True if its name is new."""
        is_new = name not in self
        self._documents.put_document(_KIND, name, value)
        return is_new

    def delete(self, name: str) -> bool:
        """Forget a value; False if there is none."""
        is_there = name in self
        if is_there:
            self._documents.delete_document(_KIND, name)
        return is_there
