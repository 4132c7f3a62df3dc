"""Batches whose routes take turns: the same ones in the same order, again and again.

Whoever spreads messages over many queues mostly does it in turns. Then what belongs to one route is
every n-th message of all, which is a slice of an array: sorting them costs a fraction of what it
costs to look up the route of each.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TypeAlias

from core.consume_queue import SINGLES
from core.route import Route

Owed: TypeAlias = "tuple[int, Sequence[Route]]"  # The log offset of a batch; a route per message.
Places: TypeAlias = "tuple[array[int], array[int]]"  # As `ConsumeQueue.append_runs` wants them.

_SINGLES = array("q", SINGLES)


def find_turns(owed: Sequence[Owed]) -> Mapping[Route, Places] | None:
    """Where the messages of each route are, all of them single ones; None if they do not so."""
    every = list(chain.from_iterable(routes for _, routes in owed))
    period = _period(every)
    if period is None or max(len(routes) for _, routes in owed) > len(SINGLES):
        return None
    log_offsets, places = array("q"), array("q")
    for log_offset, routes in owed:
        log_offsets += array("q", (log_offset,)) * len(routes)
        places += _SINGLES[: len(routes)]
    return {
        route: (log_offsets[turn::period], places[turn::period])
        for turn, route in enumerate(every[:period])
    }


def _period(routes: Sequence[Route]) -> int | None:
    """After how many messages it is the turn of the first route again; None if there are no turns.

    One route alone has none: its messages are runs.
    """
    try:
        period = routes.index(routes[0], 1)
    except ValueError:
        return None
    if period == 1 or routes[period:] != routes[:-period] or len(set(routes[:period])) != period:
        return None
    return period
