import json

import pytest

from rosettamq import ResponseError
from rosettamq.errors import ProtocolError
from rosettamq.remoting.command import RemotingCommand
from rosettamq.requests import committed_offset, consumer_list, heartbeat_request
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
