"""Whether something goes by itself, or only with the garbage collector, which comes seldom."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    """What goes within this goes by itself."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
