import json

import pytest

from rosettamq import ReceivedMessage, ResponseError
from rosettamq.errors import ProtocolError
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.ids import encode_offset_message_id
from rosettamq.requests import (
    committed_offset,
    consumer_list,
    heartbeat_request,
    send_back_request,
)
from rosettamq.subscriptions import Subscription


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


def test_a_message_that_is_sent_back() -> None:
    message = ReceivedMessage(
        "T", b"x", message_id="ID", offset_message_id=encode_offset_message_id(("10.0.0.2", 1), 64)
    )
    sent = [send_back_request("G", message, attempts).ext_fields for attempts in (16, 1, 0)]
    assert sent[0] == {
        "offset": "64",
        "group": "G",
        "delayLevel": "0",
        "originMsgId": "ID",
        "originTopic": "T",
        "maxReconsumeTimes": "15",
    }
    assert [ext["maxReconsumeTimes"] for ext in sent[1:]] == ["0", "0"]
