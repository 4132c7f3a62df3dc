import zlib

import pytest

from rosettamq import MessageQueue
from rosettamq.errors import ProtocolError
from rosettamq.message import received_message
from rosettamq.receiving import ack_request, changed_handle, pop_result, pull_request, pull_result
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import PopHandle
from rosettamq.remoting.records import Record, encode_record
from rosettamq.subscriptions import Subscription

QUEUE = MessageQueue("T", "b", 1)
FOUR = {"nextBeginOffset": "9", "minOffset": "0", "maxOffset": "9", "suggestWhichBrokerId": "0"}


def record(offset: int, body: bytes = b"x", system_flag: int = 0, **properties: str) -> Record:
    text = "".join(f"{name}\x01{value}\x02" for name, value in properties.items())
    return Record("T", body, text.encode(), 1, 0, offset, 64 + offset, system_flag)


def test_a_record_as_a_message() -> None:
    message = received_message(
        record(5, zlib.compress(b"x"), 1, TAGS="a", KEYS="1 2", UNIQ_KEY="ID", p="q"), QUEUE
    )
    assert (message.body, message.tag, message.keys) == (b"x", "a", ("1", "2"))
    assert (message.message_id, message.queue, message.queue_offset) == ("ID", QUEUE, 5)
    assert message.properties == {"UNIQ_KEY": "ID", "p": "q"}


def test_without_an_own_id_the_offset_id_is_shown() -> None:
    message = received_message(record(0), QUEUE)
    assert message.message_id == message.offset_message_id == "00" * 8 + "0" * 14 + "40"


@pytest.mark.parametrize(
    ("flag", "packed_with"),
    [(1, "zlib"), (0x101, "lz4"), (0x201, "zstd"), (0x301, "zlib"), (0x701, "unknown")],
)
def test_a_body_that_cannot_be_unpacked_comes_as_it_is(flag: int, packed_with: str) -> None:
    """And does not keep those behind it from coming."""
    message = received_message(record(0, b"x", flag), QUEUE)
    assert (message.body, message.packed_with) == (b"x", packed_with)
    plain = received_message(record(0, zlib.compress(b"x"), flag & 1), QUEUE)
    assert (plain.body, plain.packed_with) == (b"x", None)


def test_a_pull() -> None:
    command = pull_request("G", QUEUE, 5, Subscription("T", "a || b"), 32, 15.0)
    assert command.ext_fields["sysFlag"] == "6"
    assert command.ext_fields["suspendTimeoutMillis"] == "15000"
    body = encode_record(record(5)) + encode_record(record(6))
    result = pull_result(RemotingCommand(0, FOUR, body), QUEUE)
    assert [message.queue_offset for message in result.messages] == [5, 6]
    assert (result.next_offset, result.is_moved) == (9, False)


@pytest.mark.parametrize(("code", "is_moved"), [(19, False), (20, False), (21, True)])
def test_a_pull_that_found_nothing(code: int, is_moved: bool) -> None:
    result = pull_result(RemotingCommand(code, FOUR), QUEUE)
    assert (result.messages, result.next_offset, result.is_moved) == ([], 9, is_moved)


def test_a_pop_gives_handles() -> None:
    ext = {
        "popTime": "1700",
        "invisibleTime": "60",
        "reviveQid": "3",
        "restNum": "0",
        "startOffsetInfo": "0 0 4;0 1 5",
    }
    body = encode_record(record(6)) + encode_record(record(7, POP_CK="1 2 3 4 1 b 1 9"))
    first, second = pop_result(RemotingCommand(0, ext, body), "T", "b")
    assert str(first.handle) == "5 1700 60 3 0 b 1 6"
    assert str(second.handle) == "1 2 3 4 1 b 1 9"
    assert second.properties == {}
    assert [ack_request("G", message).ext_fields["topic"] for message in (first, second)] == [
        "T",
        "%RETRY%G_T",
    ]
    ack = ack_request("G", first)
    assert ack.ext_fields["extraInfo"] == "5 1700 60 3 0 b 1 6"
    assert ack.ext_fields["offset"] == "6"
    ext = {"popTime": "1800", "invisibleTime": "30", "reviveQid": "0"}
    changed = changed_handle(RemotingCommand(0, ext), first)
    assert changed == PopHandle(6, 1800, 30, 0, "0", "b", 1, 6)
    with pytest.raises(ProtocolError):
        ack_request("G", received_message(record(0), QUEUE))


@pytest.mark.parametrize("code", [19, 209, 210])
def test_a_pop_that_found_nothing(code: int) -> None:
    assert pop_result(RemotingCommand(code), "T", "b") == []
