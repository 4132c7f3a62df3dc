"""Whatever a client asks, it is answered or refused: nothing else ever happens to the broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.declarations import ExchangeDeclaration
from protocols.native.front_end import OPERATIONS
from rosettamq.remoting.command import RemotingCommand
from tests.support.native_peer import NativeBroker, Peer

NUMBERS = ["0", "1", "-1", "2", "5", "32", "33", "2147483648", "9223372036854775807", "x", ""]
GROUPS = ["T", "G", "E", "%RETRY%G", "", "a b"]
FIELDS = {
    "topic": GROUPS,
    "consumerGroup": ["G", *GROUPS],
    "group": GROUPS,
    "producerGroup": ["P"],
    "subscription": ["*", "a || b", ""],
    "exp": ["*", "a", ""],
    "expressionType": ["TAG", "SQL92", ""],
    "properties": ["TAGS\x01a\x02", "UNIQ_KEY\x01k", "junk", "a\x01", ""],
    "batch": ["true", "1", "0"],
    "extraInfo": ["0 1700000000000 60000 0 0 broker-a 0 0", "0 1 2 3", "a b c d e f g h"],
    "sysFlag": ["6", "0", "1", "2", "4", "7", *NUMBERS],
    "maxMsgNums": ["32", *NUMBERS],
    "suspendTimeoutMillis": ["1000", *NUMBERS],
    "pollTime": ["1000", *NUMBERS],
    "invisibleTime": ["60000", *NUMBERS],
}
NUMBER_FIELDS = (
    *("queueId", "offset", "queueOffset", "commitOffset", "bornTimestamp", "flag", "timestamp"),
    *("delayLevel", "reconsumeTimes", "maxReconsumeTimes", "bornTime", "initMode", "subVersion"),
)
LETTERS = {"a": "producerGroup", "b": "topic", "f": "sysFlag", "i": "properties", "m": "batch"}
FIELDS |= dict.fromkeys(NUMBER_FIELDS, NUMBERS)
FIELDS |= {letter: FIELDS[name] for letter, name in LETTERS.items()}
FIELDS |= dict.fromkeys("eghj", NUMBERS)
BODIES = st.sampled_from(
    [
        b"",
        b"body",
        b"{}",
        b'{"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"T"}]}]}',
        b'{"acks":[{"c":"G","t":"T","so":0,"pt":1700000000000,"b":"/w=="}]}',
        b'{"consumerGroup":"G","clientId":"c","mqSet":[{"topic":"T","queueId":0}]}',
        b"\x00\x00\x00\x16" + bytes(18),
    ]
)
# A request that makes sense, but for at most three of its fields.
SENSIBLE = {name: values[0] for name, values in FIELDS.items()}
CHANGES = st.lists(
    st.sampled_from([(name, value) for name, values in FIELDS.items() for value in values]),
    max_size=3,
)
REQUESTS = st.builds(
    RemotingCommand,
    code=st.sampled_from(sorted(OPERATIONS)),
    ext_fields=CHANGES.map(lambda changes: SENSIBLE | dict(changes)),
    body=BODIES,
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeBroker]:
    folder: Path = tmp_path_factory.mktemp("any") / "data"
    broker = NativeBroker(folder)
    broker.virtual_host.declare_exchange(ExchangeDeclaration("E", "topic"))
    broker.connect().publish("T", b"first")
    yield broker
    broker.stop()


@settings(max_examples=300, deadline=None)
@given(requests=st.lists(REQUESTS, max_size=6))
def test_any_request(broker: NativeBroker, requests: list[RemotingCommand]) -> None:
    peer: Peer = broker.connect()
    opaques = [peer.send(request) for request in requests]
    assert not peer.wire.disconnecting
    broker.clock.advance(70)  # All that waits has had its time.
    answers = [command.opaque for command in peer.received() if command.is_response]
    assert sorted(answers) == opaques
    peer.lose()
    queue = broker.virtual_host.queues["T"]
    assert not queue.is_consumed
