"""SUBSCRIBE and UNSUBSCRIBE: what a session reads, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import SelectorError
from gateway.queues.consumer import Terms
from gateway.queues.selectors import message_selector
from protocols.stomp.codec import encode_frame
from protocols.stomp.conventions import durable_subscription_queue, subscribe_headers
from protocols.stomp.destinations import (
    TEMP_QUEUE_PREFIX,
    Destination,
    Kind,
    parse_target,
    show_destination,
)
from protocols.stomp.errors import RequestRefusedError, processing_error
from protocols.stomp.language import boolean_header, integer_header
from protocols.stomp.outbox import Outbox
from protocols.stomp.queue_options import consumer_arguments, queue_declaration
from protocols.stomp.reading import Browser, Reader
from protocols.stomp.session_queues import (
    SessionQueues,
    check_source,
    has_durable_header,
    is_temp_queue,
)
from protocols.stomp.subscription import (
    AckMode,
    SelectiveSubscription,
    Subscription,
    SubscriptionSettings,
    consumer_tag,
    describe,
)
from protocols.stomp.unsettled import Source, Unsettled

if TYPE_CHECKING:
    from gateway.messages import Value
    from gateway.queues.queue import Queue
    from gateway.queues.selectors import Selects
    from gateway.security.access import UserVirtualHost

_PREFETCH_COUNT_MAX = 2**31 - 1
START_HEADER = "x-rosetta-from"


@dataclass(frozen=True, slots=True)
class SubscriberFacts:
    """What all subscriptions of one session have in common."""

    session_id: str
    client_id: str | None
    shows_ack: bool  # STOMP 1.2.
    shows_slashes: bool  # ActiveMQ.


class Subscriptions:
    """Those of one session, by RabbitMQ's name for them, the consumer tag."""

    def __init__(
        self,
        virtual_host: UserVirtualHost,
        owner: object,
        facts: SubscriberFacts,
        outbox: Outbox,
        unsettled: Unsettled,
        prefetch_count: int,
        on_cancelled: Callable[[Subscription], None],
    ) -> None:
        self.queues = SessionQueues(virtual_host, owner, self._subscribe_temp_queue)
        self.by_tag: dict[str, Subscription] = {}
        self.prefetch_count = prefetch_count
        self._virtual_host = virtual_host
        self._owner = owner
        self._facts = facts
        self._outbox = outbox
        self._unsettled = unsettled
        self._tell_cancelled = on_cancelled

    def subscribe(self, headers: dict[str, str]) -> None:
        """SUBSCRIBE. Raises `RequestRefusedError` or the gateway's errors."""
        _check_durable_has_id(headers)
        headers = subscribe_headers(headers)
        destination = parse_target(headers, "SUBSCRIBE")
        text, identifier = headers["destination"], headers.get("id")
        check_source(destination, text)
        if identifier is not None and is_temp_queue(identifier):
            raise processing_error()
        ack_mode = _ack_mode(headers.get("ack", "auto"))
        prefetch_count = integer_header(headers, "prefetch-count", _PREFETCH_COUNT_MAX)
        wanted = queue_declaration(destination.kind, headers)
        arguments = consumer_arguments(headers)
        selects = _selector(headers.get("selector", ""))
        tag = consumer_tag(identifier, text)
        if tag in self.by_tag:
            raise RequestRefusedError(
                "Duplicated subscription identifier",
                f"A subscription identified by '{tag}' already exists.",
                closing=True,
            )
        named = None
        if destination.kind is Kind.TOPIC:
            named = durable_subscription_queue(headers, self._facts.client_id)
        if named is None:
            queue = self.queues.source(destination, wanted, headers)
        else:
            queue = self.queues.named_subscription(named, destination)
        if prefetch_count is not None:
            self.prefetch_count = prefetch_count  # As basic.qos: later ones have it, too.
        self._virtual_host.read_queue(queue.name, self._owner)
        reading = self._reading(queue, destination, headers, selects)
        owns_queue = destination.kind in (Kind.TOPIC, Kind.EXCHANGE)
        subscription = self._make(
            tag, identifier, destination.kind, reading or queue, ack_mode, arguments,
            selects if owns_queue else None,
        )  # fmt: skip
        if reading is not None:
            self.by_tag[tag] = subscription
            reading.subscribe(subscription)
            return
        terms = Terms(named is not None, arguments, None if owns_queue else selects)
        queue.subscribe(subscription, terms)
        self.by_tag[tag] = subscription

    def unsubscribe(self, headers: dict[str, str]) -> None:
        """UNSUBSCRIBE. Raises `RequestRefusedError` or the gateway's errors."""
        _check_durable_has_id(headers)
        identifier, destination = headers.get("id"), headers.get("destination")
        named = durable_subscription_queue(headers, self._facts.client_id)
        if identifier is None and destination is None and named is None:
            raise RequestRefusedError(
                "Missing destination or id",
                "UNSUBSCRIBE must include a 'destination' or 'id' header",
            )
        if identifier is not None and is_temp_queue(identifier):
            raise RequestRefusedError(
                "Invalid id", f"UNSUBSCRIBE 'id' may not start with {TEMP_QUEUE_PREFIX}\n"
            )
        tag = consumer_tag(identifier, destination or "")
        subscription = self.by_tag.pop(tag, None)
        if subscription is None and named is None:
            raise RequestRefusedError(
                "No subscription found",
                "UNSUBSCRIBE must refer to an existing subscription.\n"
                f'Subscription to "{describe(tag)}" not found.\n',
            )
        if subscription is not None:
            subscription.end()
            if subscription.kind is Kind.TOPIC and has_durable_header(headers):
                self.queues.delete(subscription.queue.name)
        if named is not None:
            self.queues.delete(named)

    def take_all(self) -> list[Subscription]:
        """The session ends: nobody is subscribed any more."""
        subscriptions = list(self.by_tag.values())
        self.by_tag.clear()
        return subscriptions

    # The rest is private

    def _reading(
        self,
        queue: Queue,
        destination: Destination,
        headers: dict[str, str],
        selects: Selects | None,
    ) -> Browser | Reader | None:
        """What stands between the subscription and the queue, if nothing is to be taken."""
        browses = boolean_header(headers, "browser")
        start = headers.get(START_HEADER)
        if not browses and start is None:
            return None
        if destination.kind not in (Kind.QUEUE, Kind.AMQ_QUEUE) or "id" not in headers:
            header = "browser" if browses else START_HEADER
            raise RequestRefusedError(
                "Invalid header", f"'{header}' needs a queue as its destination, and an 'id'\n"
            )
        if browses:
            return Browser(queue, selects, self._browsed)
        assert start is not None
        return Reader(queue, start, selects)

    def _browsed(self, subscription: Subscription) -> None:
        """All was shown: say so, as ActiveMQ does."""
        destination = show_destination(
            "", subscription.queue.name, shows_slashes=self._facts.shows_slashes
        )
        headers = [
            ("subscription", subscription.identifier or ""),
            ("destination", destination),
            ("message-id", "0"),
            ("browser", "end"),
        ]
        self._outbox.add(encode_frame("MESSAGE", headers))

    def _subscribe_temp_queue(self, identifier: str, queue: Queue) -> None:
        self._virtual_host.read_queue(queue.name, self._owner)
        tag = consumer_tag(identifier, "")
        subscription = self._make(tag, identifier, Kind.TEMP_QUEUE, queue, AckMode.AUTO, {}, None)
        queue.subscribe(subscription)
        self.by_tag[tag] = subscription

    def _make(
        self,
        tag: str,
        identifier: str | None,
        kind: Kind,
        source: Source,
        ack_mode: AckMode,
        arguments: Mapping[str, Value],
        selects: Selects | None,
    ) -> Subscription:
        facts = self._facts
        settings = SubscriptionSettings(
            tag=tag,
            identifier=identifier,
            kind=kind,
            queue=source,
            ack_mode=ack_mode,
            prefetch_count=0 if ack_mode is AckMode.AUTO else self.prefetch_count,
            arguments=arguments,
            shows_ack=facts.shows_ack,
            shows_slashes=facts.shows_slashes,
            session_id=facts.session_id,
            outbox=self._outbox,
            unsettled=self._unsettled,
            on_cancelled=self._cancelled,
        )
        if selects is not None:
            return SelectiveSubscription(settings, selects)
        return Subscription(settings)

    def _cancelled(self, subscription: Subscription) -> None:
        if self.by_tag.pop(subscription.tag, None) is not None:
            self._tell_cancelled(subscription)


def _ack_mode(text: str) -> AckMode:
    try:
        return AckMode(text)
    except ValueError:
        raise processing_error() from None


def _selector(text: str) -> Selects | None:
    """In STOMP every header is text, so a number in one is a number where one is wanted."""
    try:
        return message_selector(text, converts_text=True)
    except SelectorError as error:
        raise RequestRefusedError("Invalid selector", f"{error}\n") from error


def _check_durable_has_id(headers: dict[str, str]) -> None:
    if has_durable_header(headers) and "id" not in headers:
        raise RequestRefusedError(
            "Missing Header", "Header 'id' is required for durable subscriptions"
        )
