"""Start and stop the brokers that are measured, each with its own data, on loopback only.

A server is a context manager: it is ready when `__enter__` returns, and gone, with every process
that it started, when `__exit__` does. What it printed is in `<directory>/<name>.log`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from gateway.demo.broker_process import serve_command

ROOT = Path(__file__).resolve().parent.parent
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
READY_LINE = "rosettamq ready "
READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
_POLL_S = 0.002


class ServerError(Exception):
    """A server did not start, or died; the text has the end of its log."""


class Server:
    """One broker process; its ports are on 127.0.0.1, and known once it is ready."""

    name: str
    port: int  # AMQP's.
    stomp_port: int
    http_port: int  # RabbitMQ's only if it has `rabbitmq_management`.
    _process: subprocess.Popen[bytes] | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.log = directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> float:
        """Start it on the data that it has; return the seconds until it was ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        try:
            self._spawn()
            self._wait_until_ready(started + READY_TIMEOUT_S)
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - started

    def stop(self) -> None:
        """Ask it to end, insist after a while."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Let it die as in a crash."""
        self._end(signal.SIGKILL)

    def rss_bytes(self) -> int:
        """Its resident memory now."""
        return self._memory_bytes("VmRSS")

    def peak_rss_bytes(self) -> int:
        """The most that its resident memory was since `reset_peak_rss`."""
        return self._memory_bytes("VmHWM")

    def reset_peak_rss(self) -> None:
        """Begin a new peak (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _memory_bytes(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise ServerError(f"{self.name} is not running")

    def check_running(self) -> None:
        """Raise `ServerError` if it died."""
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.name} ended:\n{self._log_tail()}")

    def _spawn(self) -> None:
        raise NotImplementedError

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _popen(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_ready(self, deadline: float) -> None:
        while not self._is_ready():
            self.check_running()
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} is not ready:\n{self._log_tail()}")
            time.sleep(_POLL_S)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            end_process(self._process, how)
        self._process = None

    def _log_tail(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-20:])


def end_process(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Signal a process and wait; then end what is left of its own session."""
    process.send_signal(how)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(f"{process.args!r} did not end in {STOP_TIMEOUT_S:.0f} s, killed", file=sys.stderr)
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class RosettaMQ(Server):
    """Our gateway, from this tree, with the interpreter that runs us."""

    name = "rosettamq"
    _log_start = 0  # A ready line before this is of an earlier start.

    def __init__(self, directory: Path, settings: list[str] | None = None) -> None:
        super().__init__(directory)
        self._settings = settings or []

    def _spawn(self) -> None:
        command = serve_command(self.data_dir, self._settings)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._popen(command, {**os.environ, "PYTHONUNBUFFERED": "1"})

    def _is_ready(self) -> bool:
        printed = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        for line in printed.splitlines(keepends=True):
            if line.startswith(READY_LINE) and line.endswith("\n"):
                ports = dict(word.split("=", 1) for word in line.split()[2:])
                self.port = int(ports["amqp"].rsplit(":", 1)[1])
                self.stomp_port = int(ports["stomp"].rsplit(":", 1)[1])
                self.http_port = int(ports["http"].rsplit(":", 1)[1])
                return True
        return False


class RabbitMQ(Server):
    """Debian's rabbitmq-server with its own settings, but for where it listens and writes.

    It has no plugins but those asked for, STOMP and STOMP over WebSocket among them. Erlang's port
    mapper is a process of its own that would outlive the server, and one may be running already, so
    it gets its own: a child, on a port of its own.
    """

    name = "rabbitmq"
    web_stomp_port: int  # STOMP over WebSocket.
    _port_mapper: subprocess.Popen[bytes] | None = None

    def __init__(
        self,
        directory: Path,
        *,
        speaks_stomp: bool = False,
        speaks_web_stomp: bool = False,
        plugins: Sequence[str] = (),
    ) -> None:
        super().__init__(directory)
        self._speaks_stomp = speaks_stomp or speaks_web_stomp  # That plugin needs the other.
        self._speaks_web_stomp = speaks_web_stomp
        self._plugins = plugins

    @staticmethod
    def is_installed() -> bool:
        """Whether there is one to compare with."""
        return RABBITMQ.exists() and shutil.which("epmd") is not None

    @staticmethod
    def version() -> str:
        """Debian's version, as in the path of its libraries."""
        libraries = sorted((RABBITMQ.parent.parent / "lib").glob("rabbitmq_server-*"))
        return libraries[-1].name.removeprefix("rabbitmq_server-") if libraries else "unknown"

    def _spawn(self) -> None:
        self.port, self.stomp_port, self.web_stomp_port, self.http_port, *own_ports = free_ports(6)
        distribution_port, mapper_port = own_ports
        environment = self._environment(distribution_port, mapper_port)
        self._port_mapper = self._popen(
            ["epmd", "-address", "127.0.0.1", "-port", str(mapper_port)], environment
        )
        self._process = self._popen([str(RABBITMQ)], environment)

    def _environment(self, distribution_port: int, mapper_port: int) -> dict[str, str]:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        plugins, settings = home / "enabled_plugins", home / "rabbitmq-env.conf"
        enabled = {
            **dict.fromkeys(self._plugins, True),
            "rabbitmq_stomp": self._speaks_stomp,
            "rabbitmq_web_stomp": self._speaks_web_stomp,
        }
        plugins.write_text(f"[{','.join(name for name, is_on in enabled.items() if is_on)}].\n")
        configuration = (
            f"stomp.listeners.tcp.1 = 127.0.0.1:{self.stomp_port}\n"
            "web_stomp.tcp.ip = 127.0.0.1\n"
            f"web_stomp.tcp.port = {self.web_stomp_port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.http_port}\n"
            "web_stomp.ws_frame = binary\n"  # In text, a body that is no UTF-8 ends the session.
        )
        (home / "rabbitmq.conf").write_text(configuration)
        settings.write_text("")
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper_port),
            "RABBITMQ_NODENAME": f"bench-{os.getpid()}-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self.data_dir),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(settings),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            # The shell then becomes the Erlang VM instead of its parent: we must know its pid.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                if connection.recv(1) != b"\x01":  # A method frame: connection.start.
                    return False
            if self._speaks_stomp:
                socket.create_connection(("127.0.0.1", self.stomp_port), timeout=1).close()
            if self._speaks_web_stomp:
                socket.create_connection(("127.0.0.1", self.web_stomp_port), timeout=1).close()
            if "rabbitmq_management" in self._plugins:
                socket.create_connection(("127.0.0.1", self.http_port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.1)
            return False

    def _end(self, how: signal.Signals) -> None:
        super()._end(how)
        if self._port_mapper is not None:
            end_process(self._port_mapper, signal.SIGTERM)
        self._port_mapper = None


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
