"""ACK and NACK: which deliveries they mean, and the hot path for a client that acks one by one.

An acknowledgement's value is `<consumer tag>@@<session>@@<delivery tag>`, as MESSAGE gave it.
All ACKs of one read are settled together; the session sees to it that this happens before any
other frame takes effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocols.stomp.codec import Frame, FrameReader
from protocols.stomp.errors import RequestRefusedError
from protocols.stomp.language import boolean_header
from protocols.stomp.unsettled import Entry, Unsettled

_SHAPE_COUNT_MAX = 256
_SHAPE_SIZE_MAX = 1_024
_COMMAND = b"ACK\n"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """One ACK or NACK, understood; `requeue` is None for an ACK."""

    consumer_tag: str
    delivery_tag: int
    value: str
    requeue: bool | None


class Acknowledger:
    """Understands ACK and NACK, and settles what one read acknowledged together."""

    def __init__(
        self,
        unsettled: Unsettled,
        session_id: str,
        *,
        header_name: str,
        requeues: bool,
        knows: Callable[[str], bool],
    ) -> None:
        self._unsettled = unsettled
        self._session_id = session_id
        self._header_name = header_name  # "id" in 1.2, "message-id" before.
        self._requeues = requeues
        self._knows = knows  # Whether there is a subscription of this consumer tag.
        self._acked: list[Entry] = []
        # The octets of an ACK before and after its delivery tag: such a one was understood.
        self._shapes: set[tuple[bytes, bytes]] = set()

    def take_acks(self, reader: FrameReader) -> None:
        """Consume the ACKs at the reader's position that look like earlier ones."""
        buffer, position = reader.buffer, reader.position
        entries = self._unsettled.entries
        shapes = self._shapes
        while buffer.startswith(_COMMAND, position):
            end = buffer.find(b"\n\n\0", position)
            if end < 0:
                break
            head, _, tail = buffer[position : end + 1].rpartition(b"@@")
            digits, _, rest = tail.partition(b"\n")
            if (head, rest) not in shapes or not digits.isdigit() or len(digits) > 18:
                break
            tag = int(digits)
            if tag not in entries:
                break
            self._acked += self._unsettled.take(tag)
            position = end + 3
            if buffer.startswith(b"\n", position):
                position += 1
        reader.position = position

    def flush(self) -> None:
        """Settle what is pending."""
        if self._acked:
            acked, self._acked = self._acked, []
            self._unsettled.settle(acked)

    def understand(self, frame: Frame) -> Acknowledgement:
        """Read an ACK or NACK; raises `RequestRefusedError` if it says nothing useful."""
        name, command = self._header_name, frame.command
        value = frame.headers.get(name)
        if value is None:
            raise RequestRefusedError(
                "Missing header", f'"{command}" must include the "{name}" header\n'
            )
        parts = value.rsplit("@@", 2)
        # Another connection's value would mean another connection's delivery.
        valid = len(parts) == 3 and parts[1] == self._session_id
        if not valid or not (parts[2].isascii() and parts[2].isdigit() and len(parts[2]) <= 18):
            raise RequestRefusedError(
                "Invalid header", f'"{command}" must include a valid "{name}" header\n'
            )
        requeue = None
        if command == "NACK":
            requeue = boolean_header(frame.headers, "requeue", self._requeues)
        return Acknowledgement(parts[0], int(parts[2]), value, requeue)

    def check_subscription(self, acknowledgement: Acknowledgement) -> None:
        """Raise `RequestRefusedError` if nothing was ever delivered by that name.

        What was delivered before its subscription ended can still be settled.
        """
        tag = acknowledgement.delivery_tag
        if tag not in self._unsettled.entries and not self._knows(acknowledgement.consumer_tag):
            raise RequestRefusedError(
                "Subscription not found",
                f'Message with id "{acknowledgement.value}" has no subscription',
            )

    def apply(self, acknowledgement: Acknowledgement) -> None:
        """Settle, requeue or reject.

        Raises `OSError` if the disk refuses a dead letter; the same can then be tried again.
        """
        tag = acknowledgement.delivery_tag
        if acknowledgement.requeue is None:
            self._unsettled.settle(self._unsettled.take(tag))
        elif acknowledgement.requeue:
            self._unsettled.release(self._unsettled.take(tag))
        else:
            self._unsettled.reject(tag)

    def remember(self, frame: Frame) -> None:
        """Let `take_acks` understand ACKs of this shape from now on."""
        if not frame.headers.keys() <= {self._header_name, "subscription"}:
            return
        head, _, tail = (_COMMAND + frame.header_block).rpartition(b"@@")
        _, _, rest = tail.partition(b"\n")
        # The last "@@" must be that of the value, not of a header after it.
        in_value = head[head.rfind(b"\n") + 1 :].startswith(self._header_name.encode() + b":")
        if in_value and b"\r" not in head + tail and len(head) + len(rest) <= _SHAPE_SIZE_MAX:
            if len(self._shapes) >= _SHAPE_COUNT_MAX:
                self._shapes.clear()
            self._shapes.add((head, rest))
