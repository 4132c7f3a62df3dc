"""SEND frames -> publishes: the hot path in.

A client repeats itself, so the octets of a SEND's command and headers are the key to all that
was found out about them (`Send`): its route, envelope and header. `take_sends` walks the read
buffer over such SENDs without parsing anything, and one read becomes one append. Invariants:

- what is known is forgotten as soon as the gateway's topology or permissions change;
- a `receipt` that counts makes every block unique, so a second table knows what is around it;
- pending messages are published before any other frame takes effect (the session sees to it);
- receipts go out in the order of their SENDs, each when its message and all before it are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gateway.errors import PreconditionFailedError
from gateway.messages import Envelope, Header, Item
from protocols.stomp.answers import encode_receipt
from protocols.stomp.codec import Frame, FrameReader
from protocols.stomp.conventions import depends_on_time, send_headers
from protocols.stomp.destinations import Destination, Kind, parse_destination, parse_target
from protocols.stomp.errors import RequestRefusedError, processing_error
from protocols.stomp.language import (
    NUMBER,
    STOMP,
    encode_header_block,
    message_headers,
    properties_from_headers,
    similar_header,
)
from protocols.stomp.queue_options import QUEUE_HEADERS, queue_declaration
from protocols.stomp.receipt_lines import Around, make_lines, split
from protocols.stomp.receipts import Receipts
from protocols.stomp.session_queues import SessionQueues

if TYPE_CHECKING:
    from core.route import Route
    from gateway.gateway import Gateway
    from gateway.security.access import UserVirtualHost

_KNOWN_COUNT_MAX = 256
_KNOWN_SIZE_MAX = 4_096  # Longer header blocks are looked at each time.
_COMMAND = b"SEND\n"


class Send(NamedTuple):
    """What is known of a SEND from its headers alone."""

    route: Route
    envelope: Envelope
    header: Header
    raw: bytes | None  # The header lines to store, if not those that came.
    durable: bool  # Whether it goes to the disk.
    body_size: int  # -1: up to the first NUL.
    receipt: bytes  # The RECEIPT frame, or nothing.


_Target: TypeAlias = "tuple[Envelope, Route]"


class _Template(NamedTuple):
    """A SEND whose `receipt` is different each time, and what its MESSAGE says."""

    send: Send
    lines: Callable[[bytes], bytes]  # For each receipt.


class Publisher:
    """Collects the messages of one read and publishes them together."""

    def __init__(
        self,
        gateway: Gateway,
        virtual_host: UserVirtualHost,
        user: str,
        queues: SessionQueues,
        receipts: Receipts,
        *,
        trims: bool,
    ) -> None:
        self._gateway = gateway
        self._virtual_host = virtual_host
        self._user = user
        self._queues = queues
        self.receipts = receipts
        self._trims = trims  # STOMP 1.0: leading spaces of header values mean nothing.
        self._generation = gateway.generation
        self._known: dict[bytes, Send] = {}
        self._templates: dict[Around, _Template] = {}
        self._targets: dict[str, _Target] = {}  # By destination header.
        self._items: list[Item] = []
        self._durable = False  # Whether the pending items go to the disk; all do, or none.
        self._receipts: list[bytes] = []  # Of the pending items.

    def take_sends(self, reader: FrameReader) -> None:  # noqa: C901 (the one loop per message)
        """Consume the SENDs at the reader's position, as far as their headers are known."""
        buffer, position = reader.buffer, reader.position
        if not buffer.startswith(_COMMAND, position):
            return
        if self._gateway.generation != self._generation:
            self._forget()
        known_get = self._known.get
        append = self._items.append
        size = len(buffer)
        while buffer.startswith(_COMMAND, position):
            end = buffer.find(b"\n\n", position)
            if end < 0:
                break
            send = known_get(buffer[position : end + 1])
            if send is None:
                send = self._from_template(buffer[position : end + 1])
                if send is None:
                    break
            body_start = end + 2
            if send.body_size < 0:
                body_end = buffer.find(b"\0", body_start)
                if body_end < 0 or body_end - position > reader.max_frame_size:
                    break
            else:
                body_end = body_start + send.body_size
                if body_end >= size or buffer[body_end]:
                    break
            body = buffer[body_start:body_end]
            if send.raw is None:
                stored = buffer[position + 5 : body_end]
            else:
                stored = send.raw + b"\n" + body
            if send.durable is not self._durable:
                reader.position = position  # If the disk refuses, what comes now was not taken.
                self._switch(send.durable)
                append = self._items.append
            append((send.route, (send.envelope, send.header, body), stored))
            if send.receipt:
                self._receipts.append(send.receipt)
            position = body_end + 1
            if buffer.startswith(b"\n", position):
                position += 1
        reader.position = position

    def send(self, frame: Frame) -> None:
        """Publish a SEND, and know its headers from now on."""
        send = self.resolve(frame)
        if send.durable is not self._durable:
            self._switch(send.durable)
        self._items.append(self.item(send, frame))
        if send.receipt:
            self._receipts.append(send.receipt)
        if not depends_on_time(frame.headers):
            self._remember(frame, send)

    def resolve(self, frame: Frame) -> Send:
        """Find out all about a SEND; raises `RequestRefusedError` or the gateway's errors."""
        if self._gateway.generation != self._generation:
            self._forget()
        headers = send_headers(self._trimmed(frame.headers), self._now_ms())
        if "message-id" in headers:
            raise RequestRefusedError("Invalid header", "'message-id' is not allowed on 'SEND'.\n")
        target = self._targets.get(headers.get("destination", ""))
        if target is None:
            destination = parse_target(headers)
            self._queues.ensure_target(destination, headers, headers["destination"])
        elif not QUEUE_HEADERS.isdisjoint(headers):
            queue_declaration(Kind.QUEUE, headers)  # Whatever they are for, they are read.
        reply_to = headers.get("reply-to")
        if reply_to is not None:
            headers = self._with_reply_to(headers, reply_to)
        properties = properties_from_headers(headers)
        author = properties.user_id
        if author is not None and not self._gateway.users.may_publish_as(self._user, author):
            raise PreconditionFailedError(
                f"user_id property set to '{properties.user_id}' but authenticated user was "
                f"'{self._user}'"
            )
        as_it_came = headers is frame.headers
        raw = frame.header_block if as_it_came else encode_header_block(headers)
        header = STOMP.make_header(raw, headers)
        header.__dict__["properties"] = properties  # They need not be decoded again.
        if target is None:
            target = self._find_target(headers["destination"], destination, header)
        elif header.may_delay:
            envelope = target[0]
            route = self._virtual_host.route(envelope.exchange, envelope.routing_key, header)
            target = (envelope, route)
        envelope, route = target
        receipt = headers.get("receipt")
        return Send(
            route=route,
            envelope=envelope,
            header=header,
            raw=None if as_it_came else raw,
            durable=route.keeps(header.persistent),
            body_size=len(frame.body) if "content-length" in headers else -1,
            receipt=b"" if receipt is None else encode_receipt(receipt),
        )

    def item(self, send: Send, frame: Frame) -> Item:
        """One message as `VirtualHost.publish` wants it."""
        raw = frame.header_block if send.raw is None else send.raw
        return send.route, (send.envelope, send.header, frame.body), raw + b"\n" + frame.body

    def route_again(self, item: Item) -> Item:
        """The same message, by the topology of now."""
        _, message, stored = item
        envelope, header, _ = message
        route = self._virtual_host.route(envelope.exchange, envelope.routing_key, header)
        return route, message, stored

    def flush(self) -> None:
        """Publish what is pending, in one append; if the disk refuses, it stays pending."""
        if not self._items:
            return
        items, self._items = self._items, []
        receipts, self._receipts = self._receipts, []
        try:
            self._publish(items, b"".join(receipts))
        except OSError:
            self._items, self._receipts = items, receipts
            raise

    def _switch(self, durable: bool) -> None:
        """The disk's log and memory's are two: what is mixed in one append loses its order."""
        self.flush()
        self._durable = durable

    def _publish(self, items: list[Item], receipts: bytes) -> None:
        """Append `items`; `receipts` follow when they and all before are stored.

        Raises `RequestRefusedError` if a queue is full and refuses one; no receipt follows then.
        If the disk refuses, `items` are those that are not stored.
        """
        if any(route.guarded for route in {item[0] for item in items}):
            while len(items) > 1:
                if self._virtual_host.intake.publish(items[:1]):
                    raise _full()
                del items[0]

        def publish(on_stored: Callable[[], None]) -> None:
            if self._virtual_host.intake.publish(items, on_stored):
                raise _full()

        self.receipts.publishing(receipts, publish)

    def publish_together(self, items: list[Item], receipts: bytes) -> None:
        """Append all `items` atomically, or none; `receipts` follow as for others.

        Raises `RequestRefusedError` if there is a queue that would refuse one of them.
        """

        def publish(on_stored: Callable[[], None]) -> None:
            if not self._virtual_host.intake.publish_together(items, on_stored):
                raise _full()

        self.receipts.publishing(receipts, publish)

    def _find_target(self, text: str, destination: Destination, header: Header) -> _Target:
        """Where a destination leads; remembered if the header had no say in it."""
        exchange, routing_key = destination.exchange, destination.routing_key
        route = self._virtual_host.route(exchange, routing_key, header)
        target = (Envelope(exchange, routing_key), route)
        if not route.by_header:
            if len(self._targets) >= _KNOWN_COUNT_MAX:
                self._targets.clear()
            self._targets[text] = target
        return target

    def _now_ms(self) -> int:
        return int(self._virtual_host.virtual_host.clock.seconds() * 1000)

    def _with_reply_to(self, headers: dict[str, str], reply_to: str) -> dict[str, str]:
        """The headers as others may see them: a temporary queue under its real name."""
        try:
            kind = parse_destination(reply_to).kind
        except RequestRefusedError:
            raise processing_error() from None
        if kind is not Kind.TEMP_QUEUE:
            return headers
        return {**headers, "reply-to": self._queues.reply_queue_name(reply_to)}

    def _trimmed(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers as the version means them; the same object if they are all right."""
        if self._trims and any(value.startswith(" ") for value in headers.values()):
            return trim(headers)
        return headers

    def _remember(self, frame: Frame, send: Send) -> None:
        # Only what `take_sends` will find again: LF line ends throughout.
        block = _COMMAND + frame.header_block
        if b"\r" in block or len(block) > _KNOWN_SIZE_MAX:
            return
        if send.receipt:
            self._remember_template(block, send)
            return
        if len(self._known) >= _KNOWN_COUNT_MAX:
            self._known.clear()
        self._known[block] = send

    def _remember_template(self, block: bytes, send: Send) -> None:
        found = split(block)
        if found is None or send.raw is not None or send.route.by_header:
            return
        around, receipt = found
        if len(self._templates) >= _KNOWN_COUNT_MAX:
            self._templates.clear()
        self._templates[around] = _Template(send, make_lines(message_headers(send.header), receipt))

    def _from_template(self, block: bytes) -> Send | None:
        found = split(block)
        template = self._templates.get(found[0]) if found is not None else None
        if found is None or template is None:
            return None
        send, lines = template
        value = found[1]
        header = similar_header(send.header, block[5:])
        header.translated[NUMBER] = lines(value)
        receipt = b"RECEIPT\nreceipt-id:%b\n\n\0\n" % value
        return Send(send.route, send.envelope, header, None, send.durable, send.body_size, receipt)

    def _forget(self) -> None:
        self._known.clear()
        self._templates.clear()
        self._targets.clear()
        self._generation = self._gateway.generation


def _full() -> RequestRefusedError:
    return RequestRefusedError("resource_error", "RESOURCE_ERROR - a queue is full\n", closing=True)


def trim(headers: Mapping[str, str]) -> dict[str, str]:
    """STOMP 1.0's headers: leading spaces of a value mean nothing."""
    return {name: value.lstrip(" ") for name, value in headers.items()}
