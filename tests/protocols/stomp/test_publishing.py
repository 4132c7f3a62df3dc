"""The hot path in, compared with the plain one, which CR LF line ends force."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.declarations import QueueBinding, QueueDeclaration
from protocols.stomp.codec import Frame
from tests.support.stomp_peer import Peer, StompBroker, encode

HEADERS = [
    "destination:/queue/a\n",
    "destination:/queue/a\npersistent:true\n",
    "persistent:true\ndestination:/queue/a\nx:1\nreceipt-like:2\n",
    "destination:/queue/a\nx:\\c\\\\\n",
    "destination:/queue/a\nreply-to:/temp-queue/t\n",
    "destination:/exchange/amq.headers\nx:1\n",
    "destination:/topic/none\n",
]
SENDS = st.tuples(
    st.sampled_from(HEADERS),
    st.sampled_from(["", "", "receipt:", "first receipt:"]),
    st.sampled_from([b"", b"body", b"two\n\nlines\n\n", b"nul \0 inside"]),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StompBroker]:
    broker = StompBroker(tmp_path_factory.mktemp("broker"))
    broker.virtual_host.declare_queue(QueueDeclaration("a", durable=True))
    broker.virtual_host.bind(QueueBinding("a", "amq.headers", "", {"x": "1", "x-match": "all"}))
    yield broker
    broker.stop()


def frames_of(sends: list[tuple[str, str, bytes]]) -> list[bytes]:
    frames = []
    for number, (headers, receipt, body) in enumerate(sends):
        block = headers
        if receipt:
            line = f"receipt:r{number}\n"
            block = line + headers if receipt.startswith("first") else headers + line
        if b"\0" in body:
            block += f"content-length:{len(body)}\n"
        frames.append(f"SEND\n{block}\n".encode() + body + b"\0")
    return frames


def outcome(publisher: Peer, reader: Peer) -> tuple[list[str], list[tuple[list[str], bytes]]]:
    """The receipts, and the messages without what differs from reader to reader."""

    def told(frame: Frame) -> tuple[list[str], bytes]:
        ignored = ("message-id", "reply-to")
        return [f"{n}:{v}" for n, v in frame.headers.items() if n not in ignored], frame.body

    receipts = [frame.headers["receipt-id"] for frame in publisher.receive_all()]
    return receipts, [told(frame) for frame in reader.receive_all()]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sends=st.lists(SENDS, max_size=12), cuts=st.lists(st.integers(0, 1_500), max_size=4))
@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_both_paths_agree(
    shared: StompBroker, version: str, sends: list[tuple[str, str, bytes]], cuts: list[int]
) -> None:
    frames = frames_of(sends)
    reader, plain, hot = shared.connect(), shared.connect(version), shared.connect(version)
    try:
        reader.frame("SUBSCRIBE", destination="/amq/queue/a", id="0")
        for frame in frames:
            head, _, body = frame.partition(b"\n\n")
            plain.send(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
        expected = outcome(plain, reader)
        octets = b"".join(frames)
        edges = [0, *sorted(cut for cut in cuts if cut <= len(octets)), len(octets)]
        for start, end in pairwise(edges):
            hot.send(octets[start:end])
        assert outcome(hot, reader) == expected
    finally:
        for peer in (reader, plain, hot):
            peer.lose()


def test_one_read_is_one_append(broker: StompBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = broker.connect()
    counts: list[int] = []
    publish = broker.virtual_host.intake.publish

    def recording_publish(items, on_stored=None):  # type: ignore[no-untyped-def]
        counts.append(len(items))
        publish(items, on_stored)

    monkeypatch.setattr(broker.virtual_host.intake, "publish", recording_publish)
    peer.send(encode("SEND", b"x", destination="/queue/a") * 50)
    assert counts == [50]
    peer.send(
        encode("SEND", b"x", destination="/queue/a") * 5
        + encode("SEND", b"x", destination="/queue/a", persistent="true") * 5
    )
    assert counts == [50, 5, 5]


def test_a_change_of_topology_is_seen(broker: StompBroker) -> None:
    """Also between two frames of one read."""
    peer = broker.connect()
    frame = encode("SEND", b"x", destination="/exchange/amq.fanout")
    peer.send(frame * 2)
    subscribe = encode("SUBSCRIBE", destination="/exchange/amq.fanout", id="0")
    peer.send(frame * 2 + subscribe + frame * 2)
    assert peer.bodies() == [b"x", b"x"]
    peer.send(frame + encode("UNSUBSCRIBE", id="0") + frame)
    assert peer.bodies() == []
    assert not broker.virtual_host.queues


def test_what_is_stored_is_what_came(broker: StompBroker) -> None:
    peer = broker.connect()
    block = b"destination:/queue/a\r\nx:\\c\npersistent:true\n"
    peer.send(b"SEND\n" + block + b"\nbody\0" + b"SEND\n" + block + b"\nbody\0")
    for _, (envelope, header, body) in broker.virtual_host.queues["a"].read(0, 10):
        assert (envelope.exchange, envelope.routing_key) == ("", "a")
        assert (header.raw, header.persistent, body) == (block, True, b"body")


def test_tables_are_bounded(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    peer = broker.connect()
    publisher = peer.protocol._connection._session._publisher  # type: ignore[union-attr]
    for number in range(600):
        peer.frame("SEND", b"", destination=f"/topic/{number}")
        peer.frame("SEND", b"", destination=f"/topic/{number}", receipt="1")
    peer.frame("SEND", b"", destination="/topic/x", long="x" * 10_000)
    assert len(publisher._known) <= 256
    assert len(publisher._templates) <= 256
    assert len(publisher._targets) <= 256
    assert max(map(len, publisher._known)) < 5_000
    broker.stop()
