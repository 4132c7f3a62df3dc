"""One blocking connection to a broker or name server, shared by all threads of a client.

A thread of its own reads, and hands each answer to whoever waits for it. When the connection ends,
everyone who waits is told at once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError

from rosettamq.errors import BrokerConnectionError, ProtocolError, RequestTimeoutError
from rosettamq.remoting.codes import CommandFlag
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import FrameReader, encode_frame

_TIMEOUT_S = 3.0
_READ_SIZE = 256 * 1024

OnRequest = Callable[[RemotingCommand], None]


def parse_address(address: str) -> tuple[str, int]:
    """Read `host:port`; raises `BrokerConnectionError` for anything else."""
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise BrokerConnectionError(f"not an address like host:port: {address!r}")
    return host.strip("[]"), int(port)


class PendingAnswer:
    """An answer that has not come yet."""

    def __init__(self, channel: Channel, opaque: int) -> None:
        self._channel = channel
        self._opaque = opaque
        self.future: Future[RemotingCommand] = Future()

    def result(self, timeout_s: float) -> RemotingCommand:
        """Wait for it; raises `RequestTimeoutError` or `BrokerConnectionError`."""
        try:
            return self.future.result(timeout_s)
        except FutureTimeoutError:
            address = self._channel.address
            raise RequestTimeoutError(f"{address} did not answer in {timeout_s:.1f} s") from None
        finally:
            self._channel.forget(self._opaque)

    def abandon(self, error: Exception) -> None:
        """Have the thread that waits raise `error` now."""
        _settle(self.future, error)


class Channel:
    """An open connection; once closed it stays so.

    A peer that does not take a request within `send_timeout_s` is given up: nobody could tell how
    much of the request it has.
    """

    def __init__(
        self,
        address: str,
        on_request: OnRequest | None = None,
        connect_timeout_s: float = _TIMEOUT_S,
        send_timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self.address = address
        self._on_request = on_request
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._pending: dict[int, PendingAnswer] = {}
        self._opaque = 0
        self._error: Exception | None = None
        try:
            self._socket = socket.create_connection(parse_address(address), connect_timeout_s)
        except OSError as error:
            raise BrokerConnectionError(f"cannot connect to {address}: {error}") from error
        self._socket.settimeout(send_timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = threading.Thread(
            target=self._read, name=f"rosettamq-reader-{address}", daemon=True
        )
        self._reader.start()

    @property
    def is_closed(self) -> bool:
        """Whether another channel is needed."""
        return self._error is not None

    def call(self, command: RemotingCommand, timeout_s: float) -> RemotingCommand:
        """Send a request and wait for its answer."""
        return self.submit(command).result(timeout_s)

    def submit(self, command: RemotingCommand) -> PendingAnswer:
        """Send a request; raises `BrokerConnectionError`."""
        with self._lock:
            self._opaque = (self._opaque + 1) & 0x7FFFFFFF
            command.opaque = self._opaque
            pending = PendingAnswer(self, command.opaque)
            self._pending[command.opaque] = pending
        try:
            self._send(command)
        except BrokerConnectionError:
            self.forget(command.opaque)
            raise
        return pending

    def send_one_way(self, command: RemotingCommand) -> None:
        """Send a request that wants no answer."""
        command.flag |= CommandFlag.ONE_WAY
        self._send(command)

    def forget(self, opaque: int) -> None:
        """Nobody waits for this answer any more."""
        with self._lock:
            self._pending.pop(opaque, None)

    def close(self) -> None:
        """Close the connection and end its thread."""
        self._fail(BrokerConnectionError(f"the connection to {self.address} was closed"))
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def _send(self, command: RemotingCommand) -> None:
        frame = encode_frame(command)
        with self._send_lock:
            if self._error is not None:
                raise BrokerConnectionError(str(self._error))
            try:
                self._socket.sendall(frame)
            except OSError as error:
                lost = BrokerConnectionError(f"lost the connection to {self.address}: {error}")
                self._fail(lost)
                raise lost from error

    def _read(self) -> None:
        frames = FrameReader()
        try:
            while data := self._read_some():
                for command in frames.feed(data):
                    self._receive(command)
            self._fail(BrokerConnectionError(f"{self.address} closed the connection"))
        except (OSError, ProtocolError) as error:
            self._fail(BrokerConnectionError(f"lost the connection to {self.address}: {error}"))
        finally:
            self._socket.close()

    def _read_some(self) -> bytes:
        """Wait for the next bytes, however long that takes."""
        while True:
            try:
                return self._socket.recv(_READ_SIZE)
            except TimeoutError:
                continue

    def _receive(self, command: RemotingCommand) -> None:
        if not command.is_response:
            if self._on_request is not None:
                self._on_request(command)
            return
        with self._lock:
            pending = self._pending.pop(command.opaque, None)
        if pending is not None:
            _settle(pending.future, command)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            waiting, self._pending = self._pending, {}
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes the reader.
        except OSError:
            pass
        for pending in waiting.values():
            pending.abandon(error)


def _settle(future: Future[RemotingCommand], outcome: RemotingCommand | Exception) -> None:
    try:
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except InvalidStateError:
        pass  # Somebody else was first.
