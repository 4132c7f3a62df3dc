"""What a message is between the front ends: an envelope, a header and a body, in its own language.

A message is kept in the language in which it arrived. Nobody parses its properties until another
language, a filter or a person asks: then `Header.properties` decodes them once, for all.
Envelopes and headers are interned by the front ends, because a client repeats itself: thousands of
messages share one of each. They must never be changed after they were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from core.light_queue import LightQueue
    from core.route import Route
    from gateway.delays.schedules import Schedule

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a message in no particular language; None means absent.

    `expiration` is in milliseconds from arrival, `timestamp` in seconds since 1970 (both AMQP
    0-9-1). `headers` are the application's own.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Value] = field(default_factory=dict)
    persistent: bool | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None


class Envelope:
    """Where a message was sent: an exchange and a routing key (for RocketMQ: topic and tag)."""

    __slots__ = ("exchange", "routing_key")

    def __init__(self, exchange: str, routing_key: str) -> None:
        self.exchange = exchange
        self.routing_key = routing_key


class Header:
    """The properties of a message as they arrived: `raw` is in `language`'s own form.

    `persistent` is decided when the header is made, since every append asks for it. `died` says
    that a queue of ours wrote it, and so the history of deaths in it is true. `may_expire` says
    that the message has an expiration, if only a meaningless one; `may_delay` that it has a header
    which may ask for a later time (see `schedules`).
    `translated` is for the front ends: what they made of this header in their own language,
    by language number.
    """

    def __init__(
        self,
        language: Language,
        raw: bytes,
        persistent: bool,
        *,
        died: bool = False,
        may_expire: bool = False,
        may_delay: bool = False,
    ) -> None:
        self.language = language
        self.raw = raw
        self.persistent = persistent
        self.died = died
        self.may_expire = may_expire
        self.may_delay = may_delay
        self.translated: dict[int, Any] = {}

    @cached_property
    def properties(self) -> Properties:
        """The properties in no particular language, decoded when first asked for."""
        return self.language.decode_properties(self.raw)

    @property
    def priority(self) -> int:
        """How urgent the message is; 0 if it does not say."""
        return self.properties.priority or 0

    @cached_property
    def expiration_ms(self) -> int | None:
        """How long after its arrival in a queue the message is worth something."""
        text = self.properties.expiration if self.may_expire else None
        if text is None or not (text.isascii() and text.isdigit() and len(text) < 20):
            return None
        return int(text)


Message: TypeAlias = tuple[Envelope, Header, bytes]


class Language(Protocol):
    """How one front end writes messages down; `number` marks its records in the log, for ever."""

    number: int
    name: str

    def parse_stored(self, stored: bytes) -> Message:
        """Read back a message that this language's front end appended.

        Raises `CorruptRecordError` if it is not one.
        """

    def decode_properties(self, raw: bytes) -> Properties:
        """Translate a header of this language; never raises for one that was once accepted."""

    def find_schedule(self, header: Header) -> Schedule | None:
        """When a message asks to be published, if not at once; only asked if it `may_delay`.

        Raises `PreconditionFailedError` for what cannot be.
        """

    def parse_due(self, stored: bytes) -> tuple[Message, bytes]:
        """Read back a message whose time has come, and what is stored of it from now on.

        It asks for no delay any more.
        """


@runtime_checkable
class WritingLanguage(Language, Protocol):
    """A language in which the broker can write messages of its own, each header with its type."""

    def encode(
        self,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        *,
        died: bool = True,
    ) -> tuple[Message, bytes]:
        """A message, whose header has `died` or not, and its stored form."""


def writing_language(languages: Mapping[int, Language]) -> WritingLanguage | None:
    """The language for what the broker itself has to write."""
    return next((each for each in languages.values() if isinstance(each, WritingLanguage)), None)


# A message on its way in: where it goes, and the form in which its language stores it.
Item: TypeAlias = "tuple[Route, Message, bytes]"


class FoundMessage(NamedTuple):
    """A message as it was found in the log, with the queues that it was for and that exist."""

    message: Message
    timestamp_ms: int
    queues: Sequence[LightQueue]
