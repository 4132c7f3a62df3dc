"""Numbers for things, by kind, that are never given out twice.

They are reserved in the metadata a block at a time; a restart skips those that were not used.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from core.metadata import Metadata

_KIND = "next_id"
_BLOCK = 1000


class Ids:
    """The ids of one data folder."""

    _log = Logger()

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._next: dict[str, tuple[int, int]] = {}  # By kind: next id, end of the block.

    def load(self) -> None:
        """Go on behind what was reserved before a restart."""
        for kind, next_id in self._metadata.items(_KIND).items():
            self._next[kind] = (next_id, next_id)

    def new(self, kind: str) -> int:
        """One more id. Raises `OSError` if the disk refuses."""
        next_id, end = self._next.get(kind, (1, 1))
        if next_id == end:
            end = next_id + _BLOCK
            self._metadata.put(_KIND, kind, end)
        self._next[kind] = (next_id + 1, end)
        return next_id

    def is_known(self, kind: str, id: int) -> bool:
        """Was it ever given out, as far as the metadata knows?"""
        return id < self._next.get(kind, (1, 1))[0]

    def skip(self, seen: Mapping[str, int]) -> None:
        """Power loss may take the document that reserved an id, and leave what bears the id."""
        for kind, id in seen.items():
            if id and not self.is_known(kind, id):
                self._log.error(
                    "{kind} {id} has messages or progress, and metadata does not know it: what it"
                    " held is lost",
                    kind=kind,
                    id=id,
                )
                self._metadata.put(_KIND, kind, id + 1)
                self._next[kind] = (id + 1, id + 1)
