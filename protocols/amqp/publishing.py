"""The hot path in: every whole publish in the read buffer becomes part of one batch.

A client repeats itself: what goes before the bodies of its messages (a basic.publish frame, a
content header frame, the head of a body frame) is the same bytes again and again, or the same few
in the same order. Those bytes are the key of an `Entry`, which holds everything that was resolved
for them; an entry also remembers which one came after it, so that mostly not even a look-up is
needed. Where basic.publish frames lead is remembered apart, as `Target`s: they are fewer than
entries, of which a client makes no end if each of its headers is another one, and dearer.

Whatever is not such a message (another method, a body in several frames, a message that is not
whole yet, an unroutable one) ends the batch, and takes the general path of the connection.

Invariants: entries are good for one generation of the gateway. The bytes of a batch are
consecutive in the read buffer, so they are appended to the log as they came. A batch is of one
channel, and either durable or not. Only entries that are remembered have a next one: chains of
others would have no bound.
"""

from __future__ import annotations

from struct import Struct
from typing import Protocol

from core.broker import Broker
from core.route import Route
from gateway.errors import GatewayError
from gateway.messages import Envelope, Header, Message
from protocols.amqp.codec import BASIC_CLASS, BODY, END_OCTET, FRAME_HEAD, HEADER, METHOD, PUBLISH
from protocols.amqp.fields import FieldError
from protocols.amqp.language import AmqpLanguage
from protocols.amqp.memory import Memory

_CONTENT = Struct(">IQ")  # Class and weight, body size.
_BASIC_WITHOUT_WEIGHT = BASIC_CLASS << 16
_HEADER_SIZE_MAX = 4096  # Larger ones take the general path.
_REMEMBERED_SIZE_MAX = 1024  # Larger prefixes are not worth being remembered.
# So much is remembered for one connection, in bytes, about.
_TARGETS_SIZE_MAX = 6 << 20  # Enough for 10,000 destinations with names of some 20 octets.
_ENTRIES_SIZE_MAX = 2 << 20  # Apart, for there is no end to them if each header is another one.
_METHOD_SIZE_MAX = 4 + 2 + 256 + 256 + 1  # Of a basic.publish payload.


class NotStoredError(Exception):
    """The disk refused a batch; the publishes from `position` on were not stored."""

    def __init__(self, position: int, error: OSError) -> None:
        super().__init__(str(error))
        self.position = position
        self.error = error


class Kind:
    """What all messages of one batch have in common: there are two for a channel."""

    __slots__ = ("channel", "durable")

    def __init__(self, channel: Publisher, durable: bool) -> None:
        self.channel = channel
        self.durable = durable


class Publisher(Protocol):
    """A channel, as far as this module knows it."""

    number: int

    @property
    def content(self) -> object | None:
        """The message that is arriving in parts, if one is: no other may begin."""

    def published(self, count: int, durable: bool) -> None:
        """Messages were appended."""


class Target:
    """Where a basic.publish frame leads: its channel, its envelope and its route."""

    __slots__ = ("channel", "envelope", "route")

    def __init__(self, channel: Publisher, envelope: Envelope, route: Route) -> None:
        self.channel = channel
        self.envelope = envelope
        self.route = route


class Entry:
    """The bytes before a body, and all that follows from them."""

    __slots__ = (
        "body_size",
        "envelope",
        "header",
        "is_remembered",
        "kind",
        "next",
        "prefix",
        "prefix_size",
        "route",
        "size",
    )

    def __init__(
        self,
        prefix: bytes,
        body_size: int,
        target: Target,
        header: Header,
        route: Route,
        kind: Kind,
    ) -> None:
        self.prefix = prefix
        self.prefix_size = len(prefix)
        self.body_size = body_size
        self.size = len(prefix) + body_size + 1
        self.envelope = target.envelope
        self.header = header
        self.route = route
        self.kind = kind
        self.is_remembered = False
        self.next: Entry | None = None

    def forget(self) -> None:
        """It made room for others."""
        self.is_remembered = False
        self.next = None


class Resolver(Protocol):
    """Who knows where publishes lead: see `resolving`."""

    def target(self, method: bytes) -> Target | None:
        """A basic.publish frame -> where it leads; None if the general path must see to it."""

    def route(self, envelope: Envelope, header: Header) -> Route:
        """The route of a message whose header matters. Raises `GatewayError`."""

    def is_plain(self, raw: bytes) -> bool:
        """Need these properties nothing but to be stored?"""

    def expect_expiry(self, route: Route) -> None:
        """A message with an expiration takes this route."""


class Publishing:
    """The publishes of one connection."""

    def __init__(self, broker: Broker, language: AmqpLanguage, resolver: Resolver) -> None:
        self._broker = broker
        self._language = language
        self._resolver = resolver
        self._kinds: dict[tuple[Publisher, bool], Kind] = {}
        self._targets: Memory[Target] = Memory(_TARGETS_SIZE_MAX)
        self._entries: Memory[Entry] = Memory(_ENTRIES_SIZE_MAX, Entry.forget)
        self._predicted: Entry | None = None
        self.body_size_max = 0  # Larger ones take the general path, which refuses them.
        self.missing_size = 0  # So much of the next message must come before `receive` goes on.

    def forget(self) -> None:
        """Drop all that was resolved: topology, or the channels, have changed."""
        self._targets.clear()
        self._entries.clear()
        self._kinds.clear()
        self._predicted = None

    def receive(self, data: bytes, position: int) -> int:
        """Append the whole publishes at `position`; return where something else begins.

        Raises `NotStoredError`.
        """
        entry = self._predicted
        previous: Entry | None = None
        kind: Kind | None = None
        messages: list[Message] = []
        routes: list[Route] = []
        sizes: list[int] = []
        start = position
        data_size = len(data)
        while position < data_size:
            if entry is None or not data.startswith(entry.prefix, position):
                entry = self._find(data, position)
                if entry is None:
                    break
                if previous is not None and previous.is_remembered and entry.is_remembered:
                    previous.next = entry
            body_start = position + entry.prefix_size
            end = body_start + entry.body_size
            if end >= data_size:
                self.missing_size = end + 1 - data_size
                break
            if data[end] != END_OCTET:
                break
            if entry.kind is not kind:
                if entry.kind.channel.content is not None:
                    break
                self._append(kind, data, start, position, routes, sizes, messages)
                messages, routes, sizes = [], [], []
                kind = entry.kind
                start = position
            messages.append((entry.envelope, entry.header, data[body_start:end]))
            routes.append(entry.route)
            sizes.append(entry.size)
            position = end + 1
            previous = entry
            entry = entry.next
        self._append(kind, data, start, position, routes, sizes, messages)
        self._predicted = entry
        return position

    def _append(
        self,
        kind: Kind | None,
        data: bytes,
        start: int,
        end: int,
        routes: list[Route],
        sizes: list[int],
        messages: list[Message],
    ) -> None:
        if kind is None or not messages:
            return
        payload = memoryview(data)[start:end]
        number = self._language.number
        try:
            self._broker.append(number, routes, sizes, [payload], messages, kind.durable)
        except OSError as error:
            raise NotStoredError(start, error) from error
        kind.channel.published(len(messages), kind.durable)

    def _find(self, data: bytes, position: int) -> Entry | None:
        """The entry for the message at `position`; None if it is not one for the hot path."""
        if not data.startswith(PUBLISH, position + 7):
            return None
        type, _, size = FRAME_HEAD.unpack_from(data, position)
        if type != METHOD or size > _METHOD_SIZE_MAX:
            return None
        method_end = position + size + 8
        if method_end > len(data):
            self.missing_size = method_end - len(data)
            return None
        target = self._target(data[position:method_end])
        if target is None:
            return None
        return self._find_header(data, position, method_end, target)

    def _find_header(
        self, data: bytes, position: int, method_end: int, target: Target
    ) -> Entry | None:
        """The same, once the basic.publish frame is known to be whole."""
        content_end = method_end + FRAME_HEAD.size + _CONTENT.size
        if content_end > len(data):
            if method_end == len(data):
                self.missing_size = 1
            elif data[method_end] == HEADER:
                self.missing_size = content_end - len(data)
            return None
        type, number, size = FRAME_HEAD.unpack_from(data, method_end)
        if type != HEADER or number != target.channel.number or size > _HEADER_SIZE_MAX:
            return None
        header_end = method_end + size + 8
        if header_end > len(data):
            self.missing_size = header_end - len(data)
            return None
        if size < _CONTENT.size + 2 or data[header_end - 1] != END_OCTET:
            return None
        return self._find_content(data, position, method_end, header_end, target)

    def _find_content(
        self, data: bytes, position: int, method_end: int, header_end: int, target: Target
    ) -> Entry | None:
        """The same, once the content header frame is known to be whole."""
        content_type, body_size = _CONTENT.unpack_from(data, method_end + FRAME_HEAD.size)
        if content_type != _BASIC_WITHOUT_WEIGHT or body_size > self.body_size_max:
            return None
        prefix_end = header_end - 1
        if body_size:
            prefix_end = header_end + FRAME_HEAD.size
            if prefix_end > len(data):
                self.missing_size = prefix_end - len(data)
                return None
            if FRAME_HEAD.unpack_from(data, header_end) != (BODY, target.channel.number, body_size):
                return None
        raw_header = data[method_end + FRAME_HEAD.size + _CONTENT.size : header_end - 1]
        return self._entry(data[position:prefix_end], body_size, target, raw_header)

    def _target(self, method: bytes) -> Target | None:
        target = self._targets.get(method)
        if target is None and method[-1] == END_OCTET:
            target = self._resolver.target(method)
            if target is not None:
                self._targets.add(method, target)
        return target

    def _entry(
        self, prefix: bytes, body_size: int, target: Target, raw_header: bytes
    ) -> Entry | None:
        entry = self._entries.get(prefix)
        if entry is not None:
            return entry
        route = target.route
        if route.by_message:
            return None
        try:
            header = self._language.header(raw_header)
            if route.by_header or header.may_delay:
                route = self._resolver.route(target.envelope, header)
        except (FieldError, GatewayError, OSError):
            return None  # Said again, and answered, by the general path.
        if route.is_unroutable or route.waits or route.guarded:
            return None
        if not self._resolver.is_plain(raw_header):
            return None
        if header.may_expire:
            self._resolver.expect_expiry(route)
        durable = route.keeps(header.persistent)
        channel = target.channel
        kind = self._kinds.get((channel, durable))
        if kind is None:
            kind = self._kinds[channel, durable] = Kind(channel, durable)
        entry = Entry(prefix, body_size, target, header, route, kind)
        if len(prefix) <= _REMEMBERED_SIZE_MAX:
            entry.is_remembered = self._entries.add(prefix, entry)
        return entry
