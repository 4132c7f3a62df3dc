"""Finds the front ends: every entry point of the group `rosettamq.protocols` names one class.

Ours come first and in a fixed order, so that the ready line reads the same everywhere; those of
other distributions follow by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.front_end import FrontEnd

GROUP = "rosettamq.protocols"
_OURS = ("amqp", "stomp", "native", "name_server", "http")


class FrontEndLoadError(Exception):
    """A front end is registered, but cannot be used; the text says which and why."""


def load_front_ends() -> list[type[FrontEnd]]:
    """Import all registered front ends, in the order in which they start.

    Raises `FrontEndLoadError`.
    """
    return [_load(entry_point) for entry_point in order(list(entry_points(group=GROUP)))]


def order(found: Sequence[EntryPoint]) -> list[EntryPoint]:
    """Ours as listed, then the others by name; the same one twice (two installations) once."""
    by_name = {entry_point.name: entry_point for entry_point in reversed(found)}
    ours = [by_name.pop(name) for name in _OURS if name in by_name]
    return ours + [by_name[name] for name in sorted(by_name)]


def _load(entry_point: EntryPoint) -> type[FrontEnd]:
    try:
        front_end: type[FrontEnd] = entry_point.load()
    except (ImportError, AttributeError) as error:
        raise FrontEndLoadError(
            f"cannot load the front end {entry_point.name} ({entry_point.value}): {error}"
        ) from error
    missing = [
        name for name in ("section", "config_class", "languages") if not hasattr(front_end, name)
    ]
    if missing:
        raise FrontEndLoadError(
            f"{entry_point.value} is no front end: it has no {', '.join(missing)}"
        )
    return front_end
