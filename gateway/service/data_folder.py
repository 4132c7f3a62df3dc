"""The folder that holds everything a broker must not forget; one process at a time uses it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core.errors import CoreError, StoreLockedError


class DataFolderError(CoreError):
    """The data folder cannot be made, read or written."""


class DataFolder:
    """A data folder that this process has locked.

    The lock is the kernel's (flock on the file `lock`), so it is gone with the process, however
    that ends. The file itself stays: removing it would let two processes lock two files.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder if it is missing, and lock it; nothing in it is changed.

        Raises `DataFolderError` or `StoreLockedError`.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise DataFolderError(f"the data folder {path} is not a folder") from None
        except OSError as error:
            raise DataFolderError(f"cannot use the data folder {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise StoreLockedError(f"the data folder {path} is in use by another process") from None

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._lock_fd)
