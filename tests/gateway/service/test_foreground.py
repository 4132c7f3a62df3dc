"""The command as a process: what it prints, how it ends. All on free ports of the loopback."""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from gateway.demo.broker_process import BrokerProcess
from gateway.service import foreground
from gateway.service.service import Service

TIMEOUT_S = 60


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_version() -> None:
    assert re.fullmatch(r"rosettamq, version \d+\.\d+\.\d+\n", run("--version").stdout)


def test_the_ready_line_and_a_clean_stop(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    with BrokerProcess(data_dir) as broker:
        assert list(broker.addresses) == ["amqp", "stomp", "native", "name_server", "http", "ws"]
        for address in broker.addresses.values():
            socket.create_connection(address, TIMEOUT_S).close()
        assert broker.stop() == 0
        assert "Traceback" not in broker.log()
    assert (data_dir / "lock").exists()


def test_sigint_is_a_clean_stop_too(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        broker.process.send_signal(signal.SIGINT)
        assert broker.process.wait(TIMEOUT_S) == 0


def test_a_data_folder_in_use(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        second = run("serve", "--data-dir", str(tmp_path), "--set", "amqp.port=0")
        assert second.returncode == 2
        assert second.stdout == ""
        assert (
            second.stderr == f"rosettamq: the data folder {tmp_path} is in use by another process\n"
        )
        assert broker.stop() == 0


def test_a_port_in_use(tmp_path: Path) -> None:
    free = [f"{key}.port=0" for key in ("amqp", "stomp", "native", "name_server")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = [*free, "stomp.websocket_port=0", f"http.port={port}"]
        overrides = [argument for setting in settings for argument in ("--set", setting)]
        refused = run("serve", "--data-dir", str(tmp_path), *overrides)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        f"rosettamq: cannot listen on 127.0.0.1:{port} for http: Address already in use\n"
    )
    with BrokerProcess(tmp_path) as broker:
        assert broker.stop() == 0


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    refused = run("serve", "--data-dir", str(tmp_path))
    assert refused.returncode == 2
    assert refused.stderr == f"rosettamq: cannot use {tmp_path}/metadata: Is a directory\n"


def test_a_data_folder_without_a_name(tmp_path: Path) -> None:
    """Not the current one."""
    refused = run("serve", "--data-dir", "")
    assert refused.returncode == 2
    assert refused.stderr.endswith("Error: Invalid value for '--data-dir': it has no name\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "amqp.prot=1"), "rosettamq: --set unknown key amqp.prot (there are: "),
        (("--set", "amqp.port=many"), "rosettamq: --set amqp.port: expected int, got str ('many')"),
        (("--set", "amqp\n.port=1"), r"rosettamq: --set unknown section amqp\n (there are: "),
        (("--config", "missing.toml"), "rosettamq: cannot read missing.toml: No such file"),
    ],
)
def test_a_bad_setting_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run("serve", "--data-dir", str(tmp_path / "data"), *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith(message)
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_as_many_connections_as_the_administrator_grants(tmp_path: Path) -> None:
    """Not only those that a shell allows at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    at_first = 64 + max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (at_first, hard))
    try:
        broker = BrokerProcess(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with broker, ExitStack() as connections:
        for _ in range(at_first):
            connection = socket.create_connection(broker.addresses["amqp"], TIMEOUT_S)
            connections.enter_context(connection)
            connection.sendall(b"AMQP\0\0\x09\x01")
            assert connection.recv(1)


class Deaf(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Ready:
    def ready_line(self) -> str:
        return "rosettamq ready"


@pytest.mark.parametrize("stdout", [Deaf(), None])
def test_whoever_started_it_may_not_listen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdout: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    foreground._Run(cast(Service, Ready()), tmp_path, None)._announce()
    globalLogPublisher.removeObserver(events.append)
    said = [formatEvent(event) for event in events]
    heard = "nobody hears that the broker is ready: [Errno 32] Broken pipe"
    assert said == ([] if stdout is None else [heard])


def test_a_disk_that_refuses_to_flush_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, without the checkpoint of a clean stop."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    foreground._die(OSError(5, "Input/output error"))
    assert codes == [1]
    assert "the disk refuses to flush" in capsys.readouterr().err
