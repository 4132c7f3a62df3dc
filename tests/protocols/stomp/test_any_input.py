"""Whatever a client sends, it gets an answer of the protocol, and the broker stays whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.stomp.config import StompConfig
from protocols.stomp.connection import State, StompConnection
from tests.fuzz.stomp import fuzz
from tests.support.stomp_peer import StompBroker, split

COMMANDS = [
    "SEND", "SEND", "SUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT",
    "ABORT", "DISCONNECT", "CONNECT", "X",
]  # fmt: skip
HEADERS = {
    "destination": [
        "/queue/a", "/queue/b", "/topic/a.b", "/topic/#", "/exchange/amq.fanout",
        "/exchange/amq.headers", "/exchange/none", "/amq/queue/a", "/temp-queue/t",
        "/reply-queue/a", "", "/", "a", "/queue/a/b",
    ],
    "id": ["0", "1", "T@@x", "/temp-queue/t"],
    "ack": ["auto", "client", "client-individual", "?"],
    "transaction": ["t", "u"],
    "receipt": ["r", "s\\c"],
    "persistent": ["true", "false", "?"],
    "durable": ["true", "false", "?"],
    "auto-delete": ["true", "false"],
    "exclusive": ["true"],
    "prefetch-count": ["1", "3", "-1", "x"],
    "priority": ["1", "256", "x"],
    "timestamp": ["1", "x"],
    "reply-to": ["/temp-queue/t", "/queue/a", "x"],
    "x-queue-name": ["named", "a"],
    "x-message-ttl": ["1", "x"],
    "message-id": ["1"],
    "user-id": ["guest", "root"],
    "requeue": ["true", "false"],
    "content-length": ["0", "1", "x"],
    "\udcff": ["\udcfe"],
    "\\n": ["\\c"],
}  # fmt: skip


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame that nearly makes sense; `TAG` stands for what acknowledges the latest message."""
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=5, unique=True))
    command = draw(st.sampled_from(COMMANDS))
    if command in ("ACK", "NACK") and draw(st.booleans()):
        names = [name for name in names if name in ("transaction", "receipt", "requeue")]
        lines = ["id:TAG\n"]
    else:
        names += ["destination"] if command in ("SEND", "SUBSCRIBE") else []
        lines = []
    lines += [f"{name}:{draw(st.sampled_from(HEADERS[name]))}\n" for name in names]
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n"]))
    text = f"{command}\n{''.join(lines)}{end}"
    return text.encode("utf-8", "surrogateescape") + draw(st.sampled_from([b"", b"x"])) + b"\0"


def test_mutated_conversations(tmp_path: Path) -> None:
    """The short form of `make fuzz`; every end must be among them, or it tests too little."""
    outcomes = fuzz(tmp_path, 1, 1000, print)
    assert outcomes.keys() == {"connecting", "connected", "closed"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StompBroker]:
    broker = StompBroker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


def connection_of(broker: StompBroker, version: str) -> StompConnection:
    """Without a transport, which would log and forget what goes wrong."""
    connection = StompConnection(
        broker.gateway, StompConfig(), "127.0.0.1", lambda: None, lambda: None, 0.0
    )
    connection.receive_data(f"CONNECT\naccept-version:{version}\n\n\0".encode(), 0.0)
    broker.gateway.turn.end()
    assert connection.data_to_send().startswith(b"CONNECTED")
    return connection


def talk(broker: StompBroker, connection: StompConnection, octets: bytes) -> str:
    """What the latest message of the answers would be acknowledged with."""
    connection.receive_data(octets, 0.0)
    broker.gateway.turn.end()
    token = ""
    answers = connection.data_to_send()
    while answers:
        frame, answers = split(answers)
        assert frame.command in ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR")
        token = frame.headers.get("ack", frame.headers.get("message-id", token))
    return token


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    version=st.sampled_from(["1.0", "1.1", "1.2"]),
    reads=st.lists(st.lists(frames(), max_size=4), max_size=12),
)
def test_frames_that_nearly_make_sense(
    shared: StompBroker, version: str, reads: list[list[bytes]]
) -> None:
    connection, other = connection_of(shared, version), connection_of(shared, "1.2")
    talk(shared, other, b"SUBSCRIBE\ndestination:/topic/#\nid:0\n\n\0")
    token = ""
    for read in reads:
        octets = b"".join(read).replace(b"TAG", token.encode())
        token = talk(shared, connection, octets) or token
        assert connection.state in State
        assert connection.closed is (connection.state is State.CLOSED)
        if connection.closed:
            break
    connection.connection_lost()
    talk(shared, other, b"")
    other.connection_lost()
    shared.gateway.turn.end()
    for name, queue in list(shared.virtual_host.queues.items()):
        assert (queue.consumer_count, queue.unsettled_count) == (0, 0), name
        assert not queue.exclusive
        shared.virtual_host.delete_queue(name)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    logged_in=st.booleans(),
    pieces=st.lists(st.one_of(st.binary(max_size=40), frames()), max_size=10),
)
def test_junk(shared: StompBroker, logged_in: bool, pieces: list[bytes]) -> None:
    connection = connection_of(shared, "1.1")
    if not logged_in:
        connection = StompConnection(
            shared.gateway, StompConfig(), "127.0.0.1", lambda: None, lambda: None, 0.0
        )
    for piece in pieces:
        talk(shared, connection, piece)
        if connection.closed:
            break
    connection.connection_lost()
    assert connection.closed
    for name in list(shared.virtual_host.queues):
        shared.virtual_host.delete_queue(name)
