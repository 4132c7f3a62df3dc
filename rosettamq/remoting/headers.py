"""Typed headers: what the ext fields of each request and response mean.

A field's name on the wire is its name here in camel case. A field without a default is required.
Unknown ext fields are ignored, as other versions send more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self, get_type_hints

from rosettamq.errors import ProtocolError
from rosettamq.remoting.command import parse_integer


def parse_boolean(text: str) -> bool:
    """Read a boolean as Java does: only `true`, in any case, is true."""
    return text.lower() == "true"


class _Field(NamedTuple):
    attribute: str
    wire_name: str
    parse: Callable[[str], Any]
    is_required: bool


_PARSERS: dict[object, Callable[[str], Any]] = {
    str: str,
    int: parse_integer,
    bool: parse_boolean,
    str | None: str,
    bool | None: parse_boolean,
    int | None: parse_integer,
}


class Header:
    """The base of all typed headers: ext fields in and out."""

    __slots__ = ()
    _plans: ClassVar[dict[type[Header], list[_Field]]] = {}

    @classmethod
    def from_ext(cls, ext: Mapping[str, str]) -> Self:
        """Read the ext fields; raises `ProtocolError` when one is missing or not of its type."""
        values: dict[str, Any] = {}
        for attribute, wire_name, parse, is_required in cls._plan():
            text = ext.get(wire_name)
            # Clients write "" where others leave a number out.
            if text is None or (text == "" and parse is parse_integer):
                if is_required:
                    raise ProtocolError(f"the request lacks the field {wire_name}")
            else:
                values[attribute] = parse(text)
        return cls(**values)

    def to_ext(self) -> dict[str, str]:
        """Write the ext fields, all of them as text; None is left out."""
        ext: dict[str, str] = {}
        for attribute, wire_name, _, _ in self._plan():
            value = getattr(self, attribute)
            if value is not None:
                ext[wire_name] = str(value).lower() if isinstance(value, bool) else str(value)
        return ext

    @classmethod
    def _plan(cls) -> list[_Field]:
        plan = Header._plans.get(cls)
        if plan is None:
            hints = get_type_hints(cls)
            plan = Header._plans[cls] = [
                _Field(
                    field.name,
                    _camel_case(field.name),
                    _PARSERS[hints[field.name]],
                    field.default is MISSING,
                )
                for field in fields(cls)  # type: ignore[arg-type]  # Every subclass is a dataclass.
            ]
        return plan


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE say the same with one letter each.
_SEND_LETTERS = {
    "a": "producerGroup",
    "b": "topic",
    "c": "defaultTopic",
    "d": "defaultTopicQueueNums",
    "e": "queueId",
    "f": "sysFlag",
    "g": "bornTimestamp",
    "h": "flag",
    "i": "properties",
    "j": "reconsumeTimes",
    "k": "unitMode",
    "l": "maxReconsumeTimes",
    "m": "batch",
    "n": "bname",
}
_LETTERS_BY_NAME = {name: letter for letter, name in _SEND_LETTERS.items()}


@dataclass(frozen=True, slots=True)
class SendMessageRequest(Header):
    """SEND_MESSAGE; with one-letter names SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE."""

    producer_group: str
    topic: str
    queue_id: int
    sys_flag: int
    born_timestamp: int
    flag: int
    default_topic: str = "TBW102"
    default_topic_queue_nums: int = 4
    properties: str = ""
    reconsume_times: int = 0
    # Text, since the C++ client says "1" where Java would say "true".
    batch: str | None = None
    max_reconsume_times: int | None = None

    @classmethod
    def from_letters(cls, ext: Mapping[str, str]) -> Self:
        """Read the one-letter form."""
        return cls.from_ext({_SEND_LETTERS.get(name, name): text for name, text in ext.items()})

    def to_letters(self) -> dict[str, str]:
        """Write the one-letter form."""
        return {_LETTERS_BY_NAME[name]: text for name, text in self.to_ext().items()}


@dataclass(frozen=True, slots=True)
class SendMessageResponse(Header):
    """The answer to the three sends; `msg_id` is the offset message id (of a batch: several)."""

    msg_id: str
    queue_id: int
    queue_offset: int
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class PullMessageRequest(Header):
    """PULL_MESSAGE and LITE_PULL_MESSAGE."""

    consumer_group: str
    topic: str
    queue_id: int
    queue_offset: int
    max_msg_nums: int
    sys_flag: int
    commit_offset: int = 0
    suspend_timeout_millis: int = 0
    sub_version: int = 0
    subscription: str | None = None
    expression_type: str | None = None
    max_msg_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PullMessageResponse(Header):
    """The answer to a pull, whatever its code: Java fails without any of the four."""

    next_begin_offset: int
    min_offset: int
    max_offset: int
    suggest_which_broker_id: int = 0


@dataclass(frozen=True, slots=True)
class PopMessageRequest(Header):
    """POP_MESSAGE."""

    consumer_group: str
    topic: str
    queue_id: int
    max_msg_nums: int
    invisible_time: int
    poll_time: int = 0
    born_time: int = 0
    init_mode: int = 0
    exp_type: str | None = None
    exp: str | None = None
    order: bool | None = None


@dataclass(frozen=True, slots=True)
class PopMessageResponse(Header):
    """The answer to a pop that found something."""

    pop_time: int
    invisible_time: int
    revive_qid: int
    rest_num: int
    start_offset_info: str | None = None
    msg_offset_info: str | None = None
    order_count_info: str | None = None


@dataclass(frozen=True, slots=True)
class AckMessageRequest(Header):
    """ACK_MESSAGE; `extra_info` is the handle that the pop gave."""

    consumer_group: str
    topic: str
    queue_id: int
    extra_info: str
    offset: int


@dataclass(frozen=True, slots=True)
class ChangeInvisibleTimeRequest(Header):
    """CHANGE_MESSAGE_INVISIBLETIME."""

    consumer_group: str
    topic: str
    queue_id: int
    extra_info: str
    offset: int
    invisible_time: int


@dataclass(frozen=True, slots=True)
class ChangeInvisibleTimeResponse(Header):
    """The answer: what a new handle is made from."""

    pop_time: int
    invisible_time: int
    revive_qid: int


@dataclass(frozen=True, slots=True)
class ConsumerOffsetRequest(Header):
    """QUERY_CONSUMER_OFFSET."""

    consumer_group: str
    topic: str
    queue_id: int
    set_zero_if_not_found: bool = True


@dataclass(frozen=True, slots=True)
class UpdateConsumerOffsetRequest(Header):
    """UPDATE_CONSUMER_OFFSET; a negative offset means none."""

    consumer_group: str
    topic: str
    queue_id: int
    commit_offset: int


@dataclass(frozen=True, slots=True)
class QueueRequest(Header):
    """GET_MAX_OFFSET and GET_MIN_OFFSET."""

    topic: str
    queue_id: int


@dataclass(frozen=True, slots=True)
class SearchOffsetRequest(Header):
    """SEARCH_OFFSET_BY_TIMESTAMP."""

    topic: str
    queue_id: int
    timestamp: int
    boundary_type: str | None = None


@dataclass(frozen=True, slots=True)
class OffsetResponse(Header):
    """The answer to each question after an offset."""

    offset: int


@dataclass(frozen=True, slots=True)
class ViewMessageRequest(Header):
    """VIEW_MESSAGE_BY_ID; `offset` is the log offset of the id."""

    offset: int


@dataclass(frozen=True, slots=True)
class SendBackRequest(Header):
    """CONSUMER_SEND_MSG_BACK; `offset` is the log offset of the message that failed."""

    offset: int
    group: str
    delay_level: int
    origin_msg_id: str | None = None
    origin_topic: str | None = None
    max_reconsume_times: int | None = None


@dataclass(frozen=True, slots=True)
class UnregisterClientRequest(Header):
    """UNREGISTER_CLIENT."""

    producer_group: str | None = None
    consumer_group: str | None = None


@dataclass(frozen=True, slots=True)
class GroupRequest(Header):
    """GET_CONSUMER_LIST_BY_GROUP and NOTIFY_CONSUMER_IDS_CHANGED."""

    consumer_group: str


@dataclass(frozen=True, slots=True)
class TopicRequest(Header):
    """GET_ROUTEINFO_BY_TOPIC."""

    topic: str


@dataclass(frozen=True, slots=True)
class PopHandle:
    """A pop's receipt (`extraInfo`, `POP_CK`): eight words, or seven without the last."""

    start_offset: int
    pop_time: int
    invisible_time: int
    revive_queue_id: int
    retry: str
    broker_name: str
    queue_id: int
    queue_offset: int

    def __str__(self) -> str:
        return (
            f"{self.start_offset} {self.pop_time} {self.invisible_time} {self.revive_queue_id}"
            f" {self.retry} {self.broker_name} {self.queue_id} {self.queue_offset}"
        )

    @classmethod
    def parse(cls, text: str) -> PopHandle:
        """Read a handle; raises `ProtocolError` if it is not one."""
        words = text.split(" ")
        if len(words) not in (7, 8):
            raise ProtocolError("the receipt handle has not seven or eight words")
        start, pop_time, invisible_time, revive, retry, broker, queue_id = words[:7]
        return cls(
            parse_integer(start),
            parse_integer(pop_time),
            parse_integer(invisible_time),
            parse_integer(revive),
            retry,
            broker,
            parse_integer(queue_id),
            parse_integer(words[7] if len(words) == 8 else start),
        )
