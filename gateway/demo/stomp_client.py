"""STOMP 1.2 as its users speak it in Python: stomp.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue

import stomp
from stomp.exception import ConnectFailedException
from stomp.utils import Frame

from gateway.demo.sample import (
    WAIT_S,
    Address,
    ClientError,
    MissingMessagesError,
    Received,
    Sample,
    sample_from_texts,
    sample_to_texts,
)
from gateway.service.addresses import format_address

_NAMES = {
    "content_type": "content-type",
    "correlation_id": "correlation-id",
    "reply_to": "reply-to",
    "priority": "priority",
}
_REPLY_QUEUE = "/reply-queue/"  # What RabbitMQ's plugin puts before the name of a plain queue.
_PERSISTENT = "persistent"
# What belongs to the frame or the broker, not to the application.
_FRAME_HEADERS = frozenset(
    ("ack", "amqp-message-id", "destination", "message-id", "redelivered", "subscription")
)


class _Inbox(stomp.ConnectionListener):  # type: ignore[misc]
    """Hands every frame from stomp.py's thread to ours; None: the connection is gone."""

    def __init__(self) -> None:
        self.frames: SimpleQueue[Frame | None] = SimpleQueue()
        self.leaving = False  # stomp.py hangs up before it hands out the last receipt.

    def on_message(self, frame: Frame) -> None:
        self.frames.put(frame)

    def on_receipt(self, frame: Frame) -> None:
        self.frames.put(frame)

    def on_error(self, frame: Frame) -> None:
        self.frames.put(frame)

    def on_disconnected(self) -> None:
        if not self.leaving:
            self.frames.put(None)

    def wait_for(self, command: str) -> Frame | None:
        """Give the next frame of one command, passing over others; None if none came in time."""
        deadline = time.monotonic() + WAIT_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                frame = self.frames.get(timeout=left)
            except Empty:
                break
            if frame is None:
                raise ClientError("the broker closed the STOMP connection")
            if frame.cmd == "ERROR":
                raise ClientError(f"{frame.headers.get('message')}: {frame.body!r}")
            if frame.cmd == command:
                return frame
        return None


class StompClient:
    """Sends to and subscribes at /queue/NAME, with receipts."""

    name = "stomp.py"

    def __init__(self, address: Address) -> None:
        self._address = address

    @contextmanager
    def _session(self) -> Iterator[tuple[stomp.Connection12, _Inbox]]:
        connection = stomp.Connection12([self._address], vhost="/", auto_decode=False)
        inbox = _Inbox()
        connection.set_listener("inbox", inbox)
        try:
            connection.connect("guest", "guest", wait=True)
        except ConnectFailedException:
            where = format_address(*self._address)
            raise ClientError(f"no STOMP connection to {where}") from None
        try:
            yield connection, inbox
            # The receipt says that everything before it, every ACK too, was seen.
            inbox.leaving = True
            connection.disconnect(receipt="goodbye")
            if inbox.wait_for("RECEIPT") is None:
                raise ClientError("the broker did not answer DISCONNECT")
        finally:
            connection.transport.disconnect_socket()

    def publish(self, queue: str, sample: Sample) -> None:
        """Send one message and wait for its receipt."""
        with self._session() as (connection, inbox):
            headers = sample_to_texts(sample, _NAMES)
            if sample.persistent:
                headers[_PERSISTENT] = "true"
            headers["receipt"] = "sent"
            connection.send(f"/queue/{queue}", sample.body, headers=headers)
            if inbox.wait_for("RECEIPT") is None:
                raise ClientError("the broker did not answer SEND")

    def consume(self, queue: str, count: int, acknowledge: bool = True) -> list[Received]:
        """Take messages with a subscription whose prefetch is their number."""
        received: list[Received] = []
        with self._session() as (connection, inbox):
            connection.subscribe(
                f"/queue/{queue}",
                id="1",
                ack="client-individual",
                headers={"prefetch-count": str(count)},
            )
            while len(received) < count:
                frame = inbox.wait_for("MESSAGE")
                if frame is None:
                    raise MissingMessagesError(self.name, queue, count, len(received))
                received.append(_from_frame(frame))
                if acknowledge:
                    connection.ack(frame.headers["ack"])
        return received


def _from_frame(frame: Frame) -> Received:
    headers = {name: value for name, value in frame.headers.items() if name not in _FRAME_HEADERS}
    body = frame.body if isinstance(frame.body, bytes) else (frame.body or "").encode()
    persistent = headers.pop(_PERSISTENT, None) == "true"
    sample = sample_from_texts(body, headers, _NAMES, persistent)
    if sample.reply_to is not None:
        sample = replace(sample, reply_to=sample.reply_to.removeprefix(_REPLY_QUEUE))
    return Received(sample, frame.headers["redelivered"] == "true")
