"""The personality `activemq`: what its clients mean by a destination, in RabbitMQ's words.

/queue/a/b, /topic/a/b     names with slashes
/topic/a.>                 on SUBSCRIBE: `>` is the rest, as `#` elsewhere
/temp-queue/x              a queue of this session, to send to, to read, and as a reply-to
/temp-topic/x              a topic that nobody else can guess
/remote-temp-queue/q       how others call a temporary queue: `/reply-queue/q`
/queue/a,/topic/b          on SEND: one message for each
/queue/a?consumer.x=y      on SUBSCRIBE: the header `activemq.x`
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from protocols.stomp.codec import Frame
from protocols.stomp.errors import RequestRefusedError
from protocols.stomp.language import encode_header_block

_TEMP_QUEUE, _TEMP_TOPIC = "/temp-queue/", "/temp-topic/"
_REMOTE = {"/remote-temp-queue/": "/reply-queue/", "/remote-temp-topic/": "/topic/"}
_OTHER_PREFIXES = ("/exchange/", "/amq/queue/", "/reply-queue/")


class ActiveMQ:
    """One session's translation of frames; `temp_queue` gives a temporary queue's real name."""

    def __init__(self, temp_queue: Callable[[str], str]) -> None:
        self._temp_queue = temp_queue
        self._topics = "temp-topic." + secrets.token_urlsafe(16)

    def translate(self, frame: Frame) -> list[Frame]:
        """The frames that this one stands for; itself, if it means the same in RabbitMQ.

        Raises `RequestRefusedError`.
        """
        headers = frame.headers
        destination = headers.get("destination")
        if frame.command == "SUBSCRIBE" and destination is not None:
            return [_with(frame, self._subscribe_headers(headers, destination))]
        if frame.command != "SEND" or destination is None:
            return [frame]
        if "reply-to" in headers:
            reply_to = headers["reply-to"]
            headers = {**headers, "reply-to": self._target(reply_to)}
        first, *others = [self._target(each.strip()) for each in destination.split(",")]
        copy = {name: value for name, value in headers.items() if name != "receipt"}
        copies = [_with(frame, {**copy, "destination": each}) for each in others]
        return [*copies, _with(frame, {**headers, "destination": first})]

    def _subscribe_headers(self, headers: dict[str, str], destination: str) -> dict[str, str]:
        destination, _, query = destination.partition("?")
        meant = dict(headers)
        for option in filter(None, query.split("&")):
            name, _, value = option.partition("=")
            meant.setdefault(f"activemq.{name.removeprefix('consumer.')}", value)
        if destination.startswith(_TEMP_QUEUE):
            meant["destination"] = f"/amq/queue/{self._temp_queue(destination)}"
            return meant
        target = self._target(destination)
        if target.startswith("/topic/"):
            segments = target.split(".")
            target = ".".join("#" if segment == ">" else segment for segment in segments)
        elif target.startswith("/queue/") and not {"*", ">"}.isdisjoint(target[7:].split(".")):
            raise RequestRefusedError(
                "Invalid destination", f"'{destination}': only topics may be read by a pattern\n"
            )
        meant["destination"] = target
        return meant

    def _target(self, text: str) -> str:
        if text.startswith(_TEMP_QUEUE):
            return f"/reply-queue/{self._temp_queue(text)}"
        if text.startswith(_TEMP_TOPIC):
            return f"/topic/{self._topics}.{_slashed(text[len(_TEMP_TOPIC) :])}"
        for theirs, ours in _REMOTE.items():
            if text.startswith(theirs):
                return ours + text[len(theirs) :]
        if text.startswith(("/queue/", "/topic/")):
            return text[:7] + _slashed(text[7:])
        if text.startswith(_OTHER_PREFIXES) or not text:
            return text
        return f"/queue/{_slashed(text)}"  # As ActiveMQ 5.18 takes it.


def _slashed(name: str) -> str:
    return name.replace("/", "%2F")


def _with(frame: Frame, headers: dict[str, str]) -> Frame:
    if headers == frame.headers:
        return frame
    return replace(frame, headers=headers, header_block=encode_header_block(headers))
