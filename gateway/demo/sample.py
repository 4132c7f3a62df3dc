"""What the clients of all languages have in common: the messages that they send and receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

Address: TypeAlias = tuple[str, int]

WAIT_S = 10.0  # How long a client waits for a message or an answer before it gives up.

# STOMP's own, which readers in other languages see as headers of the application: RabbitMQ's
# plugin passes them on, and so do we.
_STOMP_FRAME_HEADERS = ("receipt", "content-length")


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as an application sees it, whatever its language; None means absent."""

    body: bytes
    content_type: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    priority: int | None = None
    persistent: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def application_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Only what an application put there."""
    return {name: headers[name] for name in headers if name not in _STOMP_FRAME_HEADERS}


def sample_to_texts(sample: Sample, names: Mapping[str, str]) -> dict[str, str]:
    """Write the fields under the names that a text language has for them.

    Persistence is left out: languages differ in what they mean if nothing is said.
    """
    texts = dict(sample.headers)
    for field_name, name in names.items():
        value = getattr(sample, field_name)
        if value is not None:
            texts[name] = str(value)
    return texts


def sample_from_texts(
    body: bytes, texts: Mapping[str, str], names: Mapping[str, str], persistent: bool
) -> Sample:
    """Read the fields back; what has no field is a header."""
    headers = application_headers(texts)
    fields: dict[str, Any] = {
        field_name: headers.pop(name, None) for field_name, name in names.items()
    }
    if fields["priority"] is not None:
        fields["priority"] = int(fields["priority"])
    return Sample(body, persistent=persistent, headers=headers, **fields)


@dataclass(frozen=True, slots=True)
class Received:
    """A message that a client was given."""

    sample: Sample
    redelivered: bool


class MissingMessagesError(Exception):
    """Fewer messages arrived in time than were expected."""

    def __init__(self, client: str, queue: str, expected: int, received: int) -> None:
        super().__init__(
            f"{client} got {received} of {expected} messages from the queue {queue} in {WAIT_S} s"
        )


class ClientError(Exception):
    """The broker refused what a client asked for; the text is the broker's."""


class Client(Protocol):
    """One client library. Each call is a session of its own, from connecting to goodbye."""

    name: str

    def publish(self, queue: str, sample: Sample) -> None:
        """Send one message to a durable queue; returns when the broker has confirmed it."""

    def consume(self, queue: str, count: int, acknowledge: bool = True) -> list[Received]:
        """Take `count` messages from a durable queue, in order.

        Raises `MissingMessagesError` if there are not as many. What is not acknowledged is given
        back when the session ends.
        """
