"""x-jms-topic: each binding has a selector, and gets what it selects.

The routing key decides nothing: another exchange, in front, has done that. Two bindings of one
destination with one key are one subscription, whose selector was changed: the later one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from core.errors import SelectorError
from core.filters.selector import Selector
from core.route import DependsOn
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments, Binding, Destination
from gateway.exchanges.selector_terms import parse_term_selector

if TYPE_CHECKING:
    from gateway.messages import Header

SELECTOR = "rjms_erlang_selector"


class SelectingBindings:
    """The selectors, by key and destination, the latest last."""

    depends_on = DependsOn.HEADER

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._selectors: dict[tuple[str, Destination], dict[Binding, Selector]] = {}

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet. Raises `PreconditionFailedError`."""
        text = dict(binding.arguments).get(SELECTOR)
        try:
            selector = parse_term_selector(text if isinstance(text, str) else "")
        except SelectorError as error:
            raise PreconditionFailedError(
                f"cannot parse selector '{text}' binding destination '{binding.destination.name}'"
                f" to exchange '{self._exchange}'"
            ) from error
        subscription = (binding.routing_key, binding.destination)
        self._selectors.setdefault(subscription, {})[binding] = selector

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        subscription = (binding.routing_key, binding.destination)
        selectors = self._selectors[subscription]
        del selectors[binding]
        if not selectors:
            del self._selectors[subscription]

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All whose selector is true of the message's headers."""
        headers: Arguments = header.properties.headers if header is not None else {}
        for (_, destination), selectors in self._selectors.items():
            if next(reversed(selectors.values())).matches(headers.get):
                yield destination
