"""Real clients over TLS, and what a broker with certificates does as a process."""

from __future__ import annotations

import queue
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pika
import pytest
import stomp

from gateway.demo.broker_process import BrokerProcess
from gateway.demo.sample import Address
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import FrameReader, encode_frame
from tests.support.certificates import Authority
from tests.support.wire import client_context

pytestmark = pytest.mark.interop

TIMEOUT_S = 20
BIG = b"rosetta." * (1 << 17)  # 1 MiB.


@dataclass
class SecureBroker:
    process: BrokerProcess
    authority: Authority
    folder: Path

    @property
    def addresses(self) -> dict[str, Address]:
        return self.process.addresses

    def connect(self, name: str, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        wire = socket.create_connection(self.addresses[name], TIMEOUT_S)
        context = context or client_context(self.authority.path)
        return context.wrap_socket(wire, server_hostname="localhost")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    certificate, key = authority.issue("server")
    settings = [
        f"tls.certificate={certificate}",
        f"tls.key={key}",
        f"tls.ca={authority.path}",
        "tls.verify=optional",
        "tls.user_from=common_name",
        "stomp.ssl_cert_login=true",
        "listen.handshake_timeout_s=0.5",
        "amqp.tls_port=0",
        "stomp.tls_port=0",
        "http.tls_port=0",
    ]
    with BrokerProcess(folder / "data", settings) as process:
        yield SecureBroker(process, authority, folder)
        assert process.stop() == 0
        assert "Traceback" not in process.log()


class Inbox(stomp.ConnectionListener):  # type: ignore[misc]
    def __init__(self) -> None:
        self.frames: queue.Queue[stomp.utils.Frame] = queue.Queue()

    def on_message(self, frame: stomp.utils.Frame) -> None:
        self.frames.put(frame)


def test_the_ready_line_has_the_ports(broker: SecureBroker) -> None:
    assert list(broker.addresses) == [
        "amqp",
        "stomp",
        "native",
        "name_server",
        "http",
        "amqps",
        "ws",
        "stomp+ssl",
        "wss",
        "https",
    ]


def test_pika_by_certificate_to_stomp(broker: SecureBroker) -> None:
    """pika logs in with EXTERNAL and sends what stomp.py reads over TLS."""
    host, port = broker.addresses["amqps"]
    certificate = broker.authority.issue("client", "guest")
    parameters = pika.ConnectionParameters(
        host,
        port,
        ssl_options=pika.SSLOptions(client_context(broker.authority.path, certificate), host),
        credentials=pika.credentials.ExternalCredentials(),
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("orders", durable=True)
        for _ in range(8):
            channel.basic_publish("", "orders", BIG, pika.BasicProperties(delivery_mode=2))
        _, _, body = channel.basic_get("orders", auto_ack=True)
        assert body == BIG

    inbox = Inbox()
    address = broker.addresses["stomp+ssl"]
    client = stomp.Connection([address], vhost="/", auto_decode=False)
    client.set_ssl([address], ca_certs=str(broker.authority.path))
    client.set_listener("inbox", inbox)
    client.connect("guest", "guest", wait=True)
    client.subscribe("/queue/orders", id="1", ack="auto")
    for _ in range(7):
        assert inbox.frames.get(timeout=TIMEOUT_S).body == BIG
    client.disconnect()


def test_pika_by_password(broker: SecureBroker) -> None:
    host, port = broker.addresses["amqps"]
    options = pika.SSLOptions(client_context(broker.authority.path), host)
    with pika.BlockingConnection(pika.ConnectionParameters(host, port, ssl_options=options)) as one:
        assert one.is_open


def test_a_stranger_by_certificate(broker: SecureBroker) -> None:
    host, port = broker.addresses["amqps"]
    certificate = broker.authority.issue("stranger", "nobody")
    parameters = pika.ConnectionParameters(
        host,
        port,
        ssl_options=pika.SSLOptions(client_context(broker.authority.path, certificate), host),
        credentials=pika.credentials.ExternalCredentials(),
    )
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(parameters)


@pytest.mark.parametrize(
    ("user", "answer"), [("guest", b"CONNECTED\n"), ("nobody", b"Access refused for user 'nobody'")]
)
def test_stomp_by_certificate(broker: SecureBroker, user: str, answer: bytes) -> None:
    """Without a login header, whom the certificate names logs in."""
    context = client_context(broker.authority.path, broker.authority.issue(f"stomp-{user}", user))
    with broker.connect("stomp+ssl", context) as wire:
        wire.sendall(b"CONNECT\naccept-version:1.2\n\n\0")
        assert answer in wire.recv(1 << 16)


@pytest.mark.parametrize("name", ["native", "name_server"])
def test_rocketmq_on_its_one_port(broker: SecureBroker, name: str) -> None:
    request = encode_frame(RemotingCommand(RequestCode.GET_BROKER_CLUSTER_INFO, {}, b"", opaque=7))
    for connect in (
        broker.connect,
        lambda name: socket.create_connection(broker.addresses[name], TIMEOUT_S),
    ):
        with connect(name) as wire:
            wire.sendall(request)
            answers = list(FrameReader().feed(wire.recv(1 << 16)))
            assert [answer.opaque for answer in answers] == [7]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("amqps", b"AMQP\0\0\x09\x01"),  # A plain client on the port for TLS.
        ("stomp+ssl", b"CONNECT\n\n\0"),
        ("amqps", b""),  # Handshakes that never finish.
        ("amqps", b"\x16\x03\x01"),
        ("native", b"\x16\x03\x01"),
        ("amqp", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500),
    ],
)
def test_who_speaks_otherwise_is_hung_up_on(broker: SecureBroker, name: str, first: bytes) -> None:
    with broker.connect("amqps") as neighbour:
        with socket.create_connection(broker.addresses[name], TIMEOUT_S) as wire:
            wire.sendall(first)
            began = time.monotonic()
            try:
                while wire.recv(1 << 16):
                    pass
            except ConnectionResetError:
                pass
            assert time.monotonic() - began < 5
        neighbour.sendall(b"AMQP\0\0\x09\x01")
        assert neighbour.recv(1 << 16).startswith(b"\x01\0\0")


def test_sighup_reads_the_certificates_again(broker: SecureBroker) -> None:
    for source, target in zip(broker.authority.issue("next"), ("pem", "key"), strict=True):
        (broker.folder / f"server.{target}").write_bytes(source.read_bytes())
    with broker.connect("amqps") as before:
        broker.process.process.send_signal(signal.SIGHUP)
        old = before.getpeercert(binary_form=True)
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            with broker.connect("amqps") as after:
                if after.getpeercert(binary_form=True) != old:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("the certificate stayed as it was")
        before.sendall(b"AMQP\0\0\x09\x01")
        assert before.recv(1 << 16)


def test_a_bad_certificate_is_one_line(tmp_path: Path) -> None:
    command = ["-m", "gateway", "serve", "--data-dir", str(tmp_path / "data")]
    refused = subprocess.run(
        [sys.executable, *command, "--set", "tls.certificate=no.pem"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        "rosettamq: tls.certificate: cannot read no.pem: No such file or directory\n"
    )
    assert not (tmp_path / "data").exists()


def test_without_certificates_nothing_of_tls_is_imported(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from gateway.service import foreground\n"
        "from gateway.service.service import Service\n"
        "start = Service.start\n"
        "def start_and_tell(service):\n"
        "    start(service)\n"
        "    names = ('OpenSSL', 'cryptography', 'service_identity')\n"
        "    print([name for name in names if name in sys.modules], flush=True)\n"
        "    os._exit(0)\n"
        "Service.start = start_and_tell\n"
        "ports = [f'{name}.port=0' for name in ('amqp', 'stomp', 'native', 'name_server')]\n"
        "foreground.serve_until_stopped(pathlib.Path(sys.argv[1]), None, ports, 'error')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout == "[]\n", run.stderr


def test_behind_a_proxy(tmp_path: Path) -> None:
    header = b"PROXY TCP4 %s 127.0.0.1 5000 5672\r\n"
    connect = b"CONNECT\nlogin:guest\npasscode:guest\n\n\0"
    with BrokerProcess(tmp_path, ["listen.proxy_protocol=true"]) as process:
        for host, command in ((b"127.0.0.1", b"CONNECTED"), (b"203.0.113.9", b"ERROR")):
            with socket.create_connection(process.addresses["stomp"], TIMEOUT_S) as wire:
                wire.sendall(header % host + connect)
                assert wire.recv(1 << 16).startswith(command + b"\n")
        assert process.stop() == 0
