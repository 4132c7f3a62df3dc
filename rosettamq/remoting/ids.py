"""The two ids of a message."""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import datetime
from functools import lru_cache
from struct import Struct

from rosettamq.errors import ProtocolError

Address = tuple[str, int]

_PORT_AND_OFFSET = Struct(">iq")
_UNIQUE_KEY_END = Struct(">HIIH")


@lru_cache(maxsize=1024)
def pack_host(host: str) -> bytes:
    """Give an IP address as its 4 or 16 bytes; a name or nothing becomes 0.0.0.0."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, host.split("%")[0])
        except (OSError, ValueError):
            continue
    return bytes(4)


def unpack_host(packed: bytes) -> str:
    """Read 4 or 16 bytes as an IP address."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def encode_offset_message_id(store_host: Address, log_offset: int) -> str:
    """Say where a message is stored: IP, port and offset in the commit log, in hex."""
    host, port = store_host
    return (pack_host(host) + _PORT_AND_OFFSET.pack(port, log_offset)).hex().upper()


def decode_offset_message_id(message_id: str) -> tuple[Address, int]:
    """Read an id as (store host, log offset); raises `ProtocolError` if it is not one."""
    try:
        data = bytes.fromhex(message_id)
    except ValueError as error:
        raise ProtocolError(f"not an offset message id: {message_id[:60]!r}") from error
    if len(data) not in (16, 28):
        raise ProtocolError(f"not an offset message id: {message_id[:60]!r}")
    port, log_offset = _PORT_AND_OFFSET.unpack(data[-_PORT_AND_OFFSET.size :])
    return (unpack_host(data[: -_PORT_AND_OFFSET.size]), port), log_offset


class UniqueKeys:
    """Make the ids that clients give their messages (`UNIQ_KEY`); safe to share by threads.

    Hex of: IP 4, process id 2, a number of this process 4, milliseconds of the month 4, counter 2.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._start = pack_host(host)
        self._process = int.from_bytes(os.urandom(4), "big")
        self._lock = threading.Lock()
        self._counter = 0

    def make(self) -> str:
        """Make an id that no other call returns."""
        with self._lock:
            self._counter = counter = (self._counter + 1) & 0xFFFF
        now = time.time()
        month = datetime.fromtimestamp(now).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        elapsed_ms = int((now - month.timestamp()) * 1000) & 0xFFFFFFFF
        end = _UNIQUE_KEY_END.pack(os.getpid() & 0xFFFF, self._process, elapsed_ms, counter)
        return (self._start + end).hex().upper()
