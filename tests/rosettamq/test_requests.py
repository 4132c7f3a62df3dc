import json
import zlib

import pytest

from rosettamq import Message, MessageError, MessageQueue, ResponseError, SendStatus
from rosettamq.errors import ProtocolError
from rosettamq.message import received_message
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import PopHandle
from rosettamq.remoting.properties import decode_properties
from rosettamq.remoting.records import Record, decode_batch, encode_record
from rosettamq.requests import (
    ack_request,
    changed_handle,
    committed_offset,
    consumer_list,
    heartbeat_request,
    outgoing_batch,
    outgoing_message,
    pop_result,
    pull_request,
    pull_result,
)
from rosettamq.subscriptions import Subscription

QUEUE = MessageQueue("T", "b", 1)
SENT = {"msgId": "A,B", "queueId": "1", "queueOffset": "7"}


def test_a_message_as_a_send() -> None:
    message = Message("T", b"x", tag="a", keys=["1", "2"], properties={"p": "q", "empty": ""})
    message.content_type, message.priority = "text/plain", 3
    outgoing = outgoing_message("G", message, "ID", 5, compress_over=4096)
    command = outgoing.request(QUEUE)
    assert (command.code, command.body, command.flag) == (RequestCode.SEND_MESSAGE_V2, b"x", 0)
    assert {letter: command.ext_fields[letter] for letter in "abefgh"} == {
        "a": "G",
        "b": "T",
        "e": "1",
        "f": "0",
        "g": "5",
        "h": "0",
    }
    assert decode_properties(command.ext_fields["i"].encode()) == {
        "p": "q",
        "content-type": "text/plain",
        "priority": "3",
        "TAGS": "a",
        "KEYS": "1 2",
        "UNIQ_KEY": "ID",
    }
    (result,) = outgoing.results(RemotingCommand(0, SENT), QUEUE)
    assert (result.message_id, result.offset_message_id) == ("ID", "A")
    assert (result.queue, result.queue_offset, result.status) == (QUEUE, 7, SendStatus.OK)


def test_a_large_body_is_packed() -> None:
    command = outgoing_message("G", Message("T", b"x" * 9), "ID", 5, compress_over=9).request(QUEUE)
    assert command.ext_fields["f"] == "1"
    assert zlib.decompress(command.body) == b"x" * 9


@pytest.mark.parametrize("code", [10, 11, 12])
def test_stored_but_not_confirmed_by_all_is_no_error(code: int) -> None:
    outgoing = outgoing_message("G", Message("T", b""), "ID", 5, 4096)
    (result,) = outgoing.results(RemotingCommand(code, SENT), QUEUE)
    assert result.status.value == code


def test_a_refusal_is_an_error_with_its_code() -> None:
    outgoing = outgoing_message("G", Message("T", b""), "ID", 5, 4096)
    with pytest.raises(ResponseError, match="response code 13: too large") as caught:
        outgoing.results(RemotingCommand(13, remark="too large"), QUEUE)
    assert caught.value.code == 13


def test_a_batch() -> None:
    messages = [Message("T", b"1", tag="a"), Message("T", b"2", properties={"UNIQ_KEY": "own"})]
    outgoing = outgoing_batch("G", messages, ["k1", "k2"], 5)
    command = outgoing.request(QUEUE)
    assert command.code == RequestCode.SEND_BATCH_MESSAGE
    assert [part.body for part in decode_batch(command.body)] == [b"1", b"2"]
    results = outgoing.results(RemotingCommand(0, SENT), QUEUE)
    assert [(r.message_id, r.offset_message_id, r.queue_offset) for r in results] == [
        ("k1", "A", 7),
        ("own", "B", 8),
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message("T", b"", tag="a|b"),
        Message("T", b"", keys=["a b"]),
        Message("T", b"", keys=[""]),
        Message("T", b"", properties={"TAGS": "a"}),
        Message("T", b"", properties={"a\x01": "b"}),
        Message("T", b"", properties={"a": "b" * 40_000}),
    ],
)
def test_what_cannot_be_sent(message: Message) -> None:
    with pytest.raises(MessageError):
        outgoing_message("G", message, "ID", 5, 4096)


def test_the_accessors_are_properties() -> None:
    message = Message("T", b"")
    message.correlation_id, message.reply_to = "c", "r"
    assert message.properties == {"CORRELATION_ID": "c", "reply-to": "r"}
    message.reply_to = None
    assert (message.correlation_id, message.reply_to, message.priority) == ("c", None, None)


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


@pytest.mark.parametrize("flag", [1, 0x101, 0x201])
def test_a_body_that_cannot_be_unpacked(flag: int) -> None:
    with pytest.raises(ProtocolError):
        received_message(record(0, b"x", flag), QUEUE)


FOUR = {"nextBeginOffset": "9", "minOffset": "0", "maxOffset": "9", "suggestWhichBrokerId": "0"}


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


def test_a_heartbeat() -> None:
    command = heartbeat_request("c", ["P"], "G", [Subscription("T", "a || b")], is_pop=True)
    body = json.loads(command.body)
    assert (body["clientID"], body["producerDataSet"]) == ("c", [{"groupName": "P"}])
    (consumer,) = body["consumerDataSet"]
    assert consumer["consumeType"] == "CONSUME_POP"
    assert consumer["subscriptionDataSet"][0]["tagsSet"] == ["a", "b"]


def test_answers_to_questions() -> None:
    assert committed_offset(RemotingCommand(22)) is None
    assert committed_offset(RemotingCommand(0, {"offset": "5"})) == 5
    assert consumer_list(RemotingCommand(0, body=b'{"consumerIdList":["a"]}')) == ["a"]
    with pytest.raises(ResponseError):
        consumer_list(RemotingCommand(1))
    for body in (b"", b"[]", b"{}"):
        with pytest.raises(ProtocolError):
            consumer_list(RemotingCommand(0, body=body))
