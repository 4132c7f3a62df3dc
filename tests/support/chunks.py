"""Sets of offsets in small chunks, so that a few offsets are many of them."""

from __future__ import annotations

import pytest


def use_small_chunks(patch: pytest.MonkeyPatch) -> None:
    """Chunks of 8 offsets, packed as bitmaps if they have two runs; no set outlives the patch."""
    patch.setattr("core.offset_set._SHIFT", 3)
    patch.setattr("core.offset_set._SIZE", 8)
    patch.setattr("core.offset_set._MASK", 7)
    patch.setattr("core.offset_set._FULL", 255)
    patch.setattr("core.offset_set._PACKED_RUNS_MAX", 1)
