"""Whatever a client sends, it gets an answer of the protocol, and the broker stays whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.amqp.codec import PROTOCOL_HEADER
from tests.fuzz.amqp import COMMANDS, OPENING, AmqpFuzzer, fuzz
from tests.support.amqp_peer import AmqpBroker, method_frame, publish_frames


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmqpFuzzer]:
    broker = AmqpBroker(tmp_path_factory.mktemp("broker"))
    yield AmqpFuzzer(broker, 0)
    broker.stop()


def test_mutated_conversations(tmp_path: Path) -> None:
    """The short form of `make fuzz`; every end must be among them, or it tests too little."""
    outcomes = fuzz(tmp_path, 1, 2000, print)
    assert outcomes.keys() >= {"open", "closed", "closing", "refused"}


@settings(max_examples=200, deadline=None)
@given(opened=st.booleans(), junk=st.lists(st.binary(max_size=100), max_size=5))
def test_junk(shared: AmqpFuzzer, opened: bool, junk: list[bytes]) -> None:
    shared.talk([b"".join(OPENING) if opened else PROTOCOL_HEADER, *junk])
    shared.talk(junk)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    head=st.tuples(st.integers(0, 255), st.integers(0, 3), st.integers(0, (1 << 32) - 1)),
    tail=st.binary(max_size=50),
)
def test_lengths(shared: AmqpFuzzer, head: tuple[int, int, int], tail: bytes) -> None:
    type, channel, size = head
    octets = bytes((type,)) + channel.to_bytes(2, "big") + size.to_bytes(4, "big") + tail
    shared.talk([*OPENING, octets, bytes(100_000)])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__qualname__)
def test_cut_at_every_octet(shared: AmqpFuzzer, command: object) -> None:
    octets = (
        method_frame(1, command) + publish_frames(1, "", "a", b"body") + method_frame(1, command)
    )
    for cut in range(len(octets)):
        shared.talk([*OPENING, octets[:cut], octets[cut:]])
        shared.talk([*OPENING, octets[:cut]])
        shared.talk([*OPENING, octets[:cut] + b"\xce" + octets[cut:]])
    shared.tidy()
