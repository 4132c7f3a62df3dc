"""What an example calls things, and what one server's example calls them."""

from __future__ import annotations

import re
from typing import Any

REPLY_TO = "amq.rabbitmq.reply-to"
_MADE_UP = re.compile(
    r"amq\.(?:ctag|gen)-[A-Za-z0-9_-]{22}|amq\.rabbitmq\.reply-to\.[A-Za-z0-9+/=._-]+"
)


def find_made_up(text: str) -> str | None:
    """The first name in a text that a server has made up."""
    found = _MADE_UP.search(text)
    return found and found[0]


class Names:
    """`~`, `$gen` and `$reply`, there and back; names that a server made up are numbered."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.generated = "amq.gen-none"
        self.reply_to = f"{REPLY_TO}.none"
        self._made_up: dict[str, str] = {}

    def put_in(self, value: Any) -> Any:
        """A field, however deep, with this example's names in it."""
        if isinstance(value, str):
            value = value.replace("~", self.prefix).replace("$gen", self.generated)
            return value.replace("$reply", self.reply_to)
        if isinstance(value, tuple):
            return tuple(map(self.put_in, value))
        if isinstance(value, dict):
            return {name: self.put_in(item) for name, item in value.items()}
        return value

    def take_out(self, text: str) -> str:
        """A text without what differs from run to run."""

        def replace(match: re.Match[str]) -> str:
            kind = match[0][:8]
            return self._made_up.setdefault(match[0], f"{kind}#{len(self._made_up) + 1}")

        return _MADE_UP.sub(replace, text.replace(self.prefix, "~"))
