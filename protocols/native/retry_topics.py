"""What a group could not consume: to its retry topic, and in the end to its dead letters.

`%RETRY%<group>` and `%DLQ%<group>` are filled by the broker itself, and made when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.messages import Message
from gateway.vhosts.virtual_host import VirtualHost
from rosettamq.errors import MessageError
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.ids import Address, encode_offset_message_id
from rosettamq.remoting.properties import TIMER_DELIVER_MS, decode_properties, encode_properties
from rosettamq.remoting.records import NO_HOST, Record, decode_record

from .delaying import without_delay
from .groups import dead_letter_topic, retry_topic
from .language import Place, to_record, to_stored
from .replies import RequestRefusedError


@dataclass(frozen=True, slots=True)
class Return:
    """A message that comes back from a group; `times` is how often it was consumed before."""

    message: Message
    group: str
    log_offset: int
    times: int

    def retry(self, due_ms: int, store_host: Address) -> Record:
        """The message as it is to come again at that time. Raises `RequestRefusedError`."""
        return self._record(retry_topic(self.group), store_host, {TIMER_DELIVER_MS: str(due_ms)})

    def dead_letter(self, store_host: Address) -> Record:
        """The message as it is kept for who looks into it. Raises `RequestRefusedError`."""
        return self._record(dead_letter_topic(self.group), store_host, {})

    def _record(self, topic: str, store_host: Address, more: dict[str, str]) -> Record:
        place = Place("", 0, self.log_offset, 0, NO_HOST)
        record = decode_record(to_record(self.message, place))
        texts = without_delay(decode_properties(record.properties)) | more
        envelope = self.message[0]
        texts.setdefault("RETRY_TOPIC", envelope.exchange or envelope.routing_key)
        texts.setdefault("ORIGIN_MESSAGE_ID", encode_offset_message_id(store_host, self.log_offset))
        try:
            properties = encode_properties(texts)
        except MessageError as error:
            raise RequestRefusedError(ResponseCode.MESSAGE_ILLEGAL, str(error)) from error
        return replace(
            record,
            topic=topic,
            log_offset=0,
            properties=properties,
            store_host=store_host,
            reconsume_times=max(self.times, record.reconsume_times) + 1,
        )


def publish_return(
    virtual_host: VirtualHost, record: Record, on_durable: Callable[[], None]
) -> None:
    """Append what comes back. Raises `RequestRefusedError`, and `OSError` if the disk refuses."""
    message, stored = to_stored(record)
    route = virtual_host.topic_route(record.topic, "", message[1])
    if not virtual_host.intake.publish_together([(route, message, stored)], on_durable):
        raise RequestRefusedError(ResponseCode.SYSTEM_BUSY, f"the queue {record.topic} is full")
