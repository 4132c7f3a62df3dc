"""Linux's asynchronous input and output, as far as flushing files needs it (io_submit(2)).

The C library has no functions for these system calls, so they are called by number; on a machine
whose numbers are not known here, `KernelAio.open` says that there is none.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

# Of one request: data, key, flags, operation, priority, descriptor, buffer, size, offset, reserved,
# flags, eventfd. Of one event: data, request, result, second result. In this order on all machines
# that have the lowest byte first.
_REQUEST = Struct("<QIIHhIQQqQII")
_EVENT = Struct("<QQqq")
assert _REQUEST.size == 64
assert _EVENT.size == 32
_FDSYNC = 3  # IOCB_CMD_FDSYNC: as fdatasync.
_NOTIFY = 1  # IOCB_FLAG_RESFD: add 1 to the eventfd at the end.
_COUNT_MAX = 16  # Files at once; more than a flush ever has, but for a crowd of new segments.


class _Numbers(NamedTuple):
    """Of the system calls."""

    setup: int
    destroy: int
    submit: int
    get_events: int


_GENERIC = _Numbers(0, 1, 2, 4)
_NUMBERS = {"x86_64": _Numbers(206, 207, 209, 208), "aarch64": _GENERIC, "riscv64": _GENERIC}


class KernelAio:
    """Flushes files without a thread of this process.

    `descriptor` can be read when a flush has ended; `results` then says how.
    """

    def __init__(self, numbers: _Numbers) -> None:
        """Raises `OSError` if the kernel does not offer it, or not to this process."""
        self._numbers = numbers
        # Not CDLL: these calls return at once, and need not let another thread in.
        self._call = ctypes.PyDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._context = ctypes.c_ulong(0)
        self._check(numbers.setup, ctypes.c_uint(_COUNT_MAX), ctypes.byref(self._context))
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests = ctypes.create_string_buffer(_REQUEST.size * _COUNT_MAX)
        first = ctypes.addressof(self._requests)
        addresses = range(first, first + len(self._requests), _REQUEST.size)
        self._pointers = (ctypes.c_void_p * _COUNT_MAX)(*addresses)
        self._events = ctypes.create_string_buffer(_EVENT.size * _COUNT_MAX)

    @classmethod
    def open(cls) -> KernelAio | None:
        """What this machine has; None if there is none, or no use of it is allowed."""
        numbers = _NUMBERS.get(platform.machine())
        if numbers is None or sys.platform != "linux" or sys.maxsize < 1 << 32:
            return None
        try:
            return cls(numbers)
        except OSError:
            return None

    def submit(self, descriptors: Sequence[int]) -> int:
        """Begin to flush these files, which may then be closed; return how many of them.

        The rest the kernel cannot flush so: other file systems, too many at once.
        """
        count = min(len(descriptors), _COUNT_MAX)
        for index, descriptor in enumerate(descriptors[:count]):
            _REQUEST.pack_into(
                self._requests, index * _REQUEST.size,
                0, 0, 0, _FDSYNC, 0, descriptor, 0, 0, 0, 0, _NOTIFY, self.descriptor,
            )  # fmt: skip
        try:
            return self._check(
                self._numbers.submit, self._context, ctypes.c_long(count), self._pointers
            )
        except OSError:
            return 0

    def results(self) -> list[OSError | None]:
        """What became of each flush that has ended since the last call."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return []
        count = self._check(
            self._numbers.get_events, self._context, ctypes.c_long(0), ctypes.c_long(_COUNT_MAX),
            self._events, None,
        )  # fmt: skip
        events = _EVENT.iter_unpack(self._events.raw[: count * _EVENT.size])
        return [
            OSError(-result, os.strerror(-result)) if result else None for *_, result, _ in events
        ]

    def close(self) -> None:
        """Wait for what was begun, and let go."""
        self._check(self._numbers.destroy, self._context)
        os.close(self.descriptor)

    def _check(self, *arguments: object) -> int:
        result = int(self._call(*arguments))
        while result < 0 and ctypes.get_errno() == errno.EINTR:
            result = int(self._call(*arguments))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result
