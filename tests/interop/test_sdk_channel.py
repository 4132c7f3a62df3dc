"""The blocking connection, against the other end of a pair of sockets' worth of loopback."""

import socket
import threading
from collections.abc import Iterator

import pytest

from rosettamq.channel import Channel, parse_address
from rosettamq.errors import BrokerConnectionError, RequestTimeoutError
from rosettamq.remoting.codes import CommandFlag
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import FrameReader, encode_frame

pytestmark = pytest.mark.interop


class Server:
    """One connection's other end, driven by the test."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._frames = FrameReader()
        self._received: list[RemotingCommand] = []

    def accept(self) -> None:
        self.socket, _ = self._listener.accept()

    def receive(self) -> RemotingCommand:
        while not self._received:
            self._received += self._frames.feed(self.socket.recv(65536))
        return self._received.pop(0)

    def answer(self, request: RemotingCommand, code: int) -> None:
        response = RemotingCommand(code, opaque=request.opaque, flag=CommandFlag.RESPONSE)
        self.socket.sendall(encode_frame(response))

    def close(self) -> None:
        self._listener.close()
        self.socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def channel(server: Server) -> Iterator[Channel]:
    channel = Channel(server.address)
    server.accept()
    yield channel
    channel.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("rosettamq")]


def test_answers_come_in_any_order(server: Server, channel: Channel) -> None:
    first, second = (channel.submit(RemotingCommand(code)) for code in (1, 2))
    requests = [server.receive(), server.receive()]
    for request in reversed(requests):
        server.answer(request, request.code * 10)
    assert (first.result(5).code, second.result(5).code) == (10, 20)


def test_no_answer_in_time(server: Server, channel: Channel) -> None:
    with pytest.raises(RequestTimeoutError):
        channel.call(RemotingCommand(1), 0.01)
    late = server.receive()
    pending = channel.submit(RemotingCommand(2))
    server.answer(late, 10)  # Nobody waits for it any more.
    server.answer(server.receive(), 20)
    assert pending.result(5).code == 20


@pytest.mark.parametrize("last_words", [b"", b"junk, no frame", b"\0\0\0\x06\0\0\0\2{]"])
def test_a_lost_connection_is_told_to_all_who_wait(
    server: Server, channel: Channel, last_words: bytes
) -> None:
    pending = [channel.submit(RemotingCommand(1)) for _ in range(3)]
    server.socket.sendall(last_words)
    if not last_words:
        server.socket.shutdown(socket.SHUT_RDWR)
    for answer in pending:
        with pytest.raises(BrokerConnectionError):
            answer.result(5)
    assert channel.is_closed
    with pytest.raises(BrokerConnectionError):
        channel.submit(RemotingCommand(1))


def test_requests_of_the_broker(server: Server) -> None:
    came = threading.Event()
    channel = Channel(server.address, lambda command: came.set())
    server.accept()
    server.socket.sendall(encode_frame(RemotingCommand(40, flag=CommandFlag.ONE_WAY)))
    assert came.wait(5)
    channel.close()


def test_a_peer_that_reads_nothing_is_given_up(server: Server) -> None:
    """Or all threads that send would wait for it for ever."""
    channel = Channel(server.address, send_timeout_s=0.05)
    server.accept()
    with pytest.raises(BrokerConnectionError):
        channel.submit(RemotingCommand(1, body=bytes(64 << 20)))
    assert channel.is_closed
    channel.close()


def test_a_peer_that_has_nothing_to_say_is_waited_for(server: Server) -> None:
    channel = Channel(server.address, send_timeout_s=0.01)
    server.accept()
    pending = channel.submit(RemotingCommand(1))
    with pytest.raises(RequestTimeoutError):
        channel.call(RemotingCommand(2), 0.05)
    server.answer(server.receive(), 10)
    assert pending.result(5).code == 10
    channel.close()


def test_nobody_listens() -> None:
    with pytest.raises(BrokerConnectionError):
        Channel("127.0.0.1:1")


@pytest.mark.parametrize(
    ("text", "address"),
    [("h:1", ("h", 1)), ("[::1]:2", ("::1", 2)), ("h", None), (":1", None), ("h:x", None)],
)
def test_addresses(text: str, address: tuple[str, int] | None) -> None:
    if address is None:
        with pytest.raises(BrokerConnectionError):
            parse_address(text)
    else:
        assert parse_address(text) == address
