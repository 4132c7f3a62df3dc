import zlib

import pytest

from rosettamq import Message, MessageError, MessageQueue, ResponseError, SendStatus
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.properties import decode_properties
from rosettamq.remoting.records import decode_batch
from rosettamq.sending import outgoing_batch, outgoing_message

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
