import pytest

from rosettamq.errors import ProtocolError
from rosettamq.remoting.headers import (
    PopHandle,
    PopMessageRequest,
    SendMessageRequest,
    parse_boolean,
)

SEND = {"a": "g", "b": "T", "e": "0", "f": "1", "g": "5", "h": "0", "k": "false", "i": "p"}


def test_the_letters_say_the_same_as_the_names() -> None:
    request = SendMessageRequest.from_letters(SEND)
    assert request == SendMessageRequest.from_ext(request.to_ext())
    assert request == SendMessageRequest.from_letters(request.to_letters())
    assert (request.topic, request.sys_flag, request.properties) == ("T", 1, "p")


@pytest.mark.parametrize("value", [None, "", "x", "1.5", "1_0"])
def test_a_required_number_must_be_one(value: str | None) -> None:
    ext = {name: text for name, text in SEND.items() if name != "e"}
    if value is not None:
        ext["e"] = value
    with pytest.raises(ProtocolError):
        SendMessageRequest.from_letters(ext)


def test_an_empty_optional_number_is_absent() -> None:
    ext = {"consumerGroup": "g", "topic": "T", "queueId": "-1", "maxMsgNums": "1"}
    request = PopMessageRequest.from_ext(ext | {"invisibleTime": "7", "bornTime": ""})
    assert request.born_time == 0


def test_only_true_is_true() -> None:
    assert [parse_boolean(text) for text in ("true", "TRUE", "1", "0", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_handles_have_eight_words_or_seven() -> None:
    handle = PopHandle(10, 1700, 60, 0, "0", "broker-a", 0, 12)
    assert str(handle) == "10 1700 60 0 0 broker-a 0 12"
    assert PopHandle.parse(str(handle)) == handle
    assert PopHandle.parse("10 1700 60 0 0 broker-a 0").queue_offset == 10
    with pytest.raises(ProtocolError):
        PopHandle.parse("10 1700")
