"""Junk on every port of a live broker: it costs the one who sent it, and nobody else."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pika
import pytest

from interop.servers import Server, rosettamq_server

pytestmark = pytest.mark.interop

PORTS = ("amqp", "stomp", "ws", "native", "name_server")
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
SILENT_COUNT = 1000
TIMEOUT_S = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rosettamq_server() as server:
        yield server


def connect(server: Server, port: str) -> socket.socket:
    return socket.create_connection(server.addresses[port], timeout=TIMEOUT_S)


def read_to_end(peer: socket.socket) -> bytes:
    """Everything until the broker hangs up, which it must."""
    data = b""
    try:
        while chunk := peer.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def pika_connection(server: Server) -> pika.BlockingConnection:
    host, port = server.addresses["amqp"]
    return pika.BlockingConnection(pika.ConnectionParameters(host, port, socket_timeout=TIMEOUT_S))


def check_alive(server: Server) -> None:
    """Somebody else's connection works: declare, publish, get."""
    connection = pika_connection(server)
    channel = connection.channel()
    channel.queue_declare("alive", auto_delete=True)
    channel.confirm_delivery()
    channel.basic_publish("", "alive", b"yes")
    assert channel.basic_get("alive", auto_ack=True)[2] == b"yes"
    connection.close()


@pytest.mark.parametrize("port", PORTS)
def test_random_bytes(server: Server, port: str) -> None:
    generator = random.Random(port)
    for _ in range(30):
        with connect(server, port) as peer:
            try:
                peer.sendall(generator.randbytes(generator.randrange(1, 5000)))
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # It has hung up already.
            read_to_end(peer)
    check_alive(server)


@pytest.mark.parametrize(
    ("port", "junk", "answer"),
    [
        ("amqp", b"GET / HTTP/1.1\r\n\r\n", AMQP_HEADER),
        ("amqp", b"AMQP\x03\x01\x00\x00", AMQP_HEADER),
        # A frame of 4 GiB on channel 0, before anything was agreed on.
        ("amqp", AMQP_HEADER + b"\x01\x00\x00\xff\xff\xff\xff", None),
        # A command that never ends.
        ("stomp", b"S" * (8 << 20), None),
        ("ws", b"GET /ws HTTP/1.1\r\nX: " + b"y" * (8 << 20), None),
        ("native", b"\x7f\xff\xff\xff" + bytes(1000), b""),
        ("name_server", b"\x00\x00\x00\x10\x00\xff\xff\xff" + bytes(16), b""),
    ],
)
def test_oversize_and_foreign(server: Server, port: str, junk: bytes, answer: bytes | None) -> None:
    with connect(server, port) as peer:
        try:
            peer.sendall(junk)
        except OSError:
            pass  # It did not wait for the rest.
        received = read_to_end(peer)
    assert answer is None or received == answer
    check_alive(server)


def test_many_connections_that_say_nothing(server: Server) -> None:
    silent = [connect(server, PORTS[number % len(PORTS)]) for number in range(SILENT_COUNT)]
    try:
        check_alive(server)
    finally:
        for peer in silent:
            peer.close()
    check_alive(server)


def test_a_client_that_never_reads(server: Server) -> None:
    """It gets what its buffers hold; the rest stays in the queue, for others."""
    connection = pika_connection(server)
    channel = connection.channel()
    channel.queue_declare("unread", durable=True)
    channel.confirm_delivery()
    body = bytes(1 << 20)
    with connect(server, "stomp") as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            b"CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:1\ndestination:/queue/unread\n\n\0"
        )
        for _ in range(60):
            channel.basic_publish("", "unread", body)
        left = channel.queue_declare("unread", passive=True).method.message_count
        assert left > 30
    channel.queue_delete("unread")
    connection.close()
    check_alive(server)
