"""Whatever a client asks, it is answered or refused: nothing else ever happens to the broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.declarations import ExchangeDeclaration
from rosettamq.remoting.command import RemotingCommand
from tests.fuzz.native import BODIES, CHANGES, CODES, SENSIBLE, fuzz
from tests.support.native_peer import NativeBroker, Peer

REQUESTS = st.builds(
    RemotingCommand,
    code=st.sampled_from(CODES),
    ext_fields=st.lists(st.sampled_from(CHANGES), max_size=3).map(
        lambda changes: SENSIBLE | dict(changes)
    ),
    body=st.sampled_from(BODIES),
)


def test_mutated_conversations(tmp_path: Path) -> None:
    """The short form of `make fuzz`; every end must be among them, or it tests too little."""
    assert fuzz(tmp_path, 1, 500, print).keys() == {"open", "closed"}


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
