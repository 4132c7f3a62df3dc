"""Every error that the world, not a bug, can cause in the core; all under one base."""

from errno import EDQUOT, ENOSPC


def is_disk_full(error: OSError) -> bool:
    """Is there no space left, for now? What the disk refused may be tried again later."""
    return error.errno in (ENOSPC, EDQUOT)


class CoreError(Exception):
    """Something that the caller asked for cannot be done; the text says why."""


class StoreLockedError(CoreError):
    """Another process uses the data folder."""


class StoreFormatError(CoreError):
    """A file of the data folder is of a version or shape that this code does not read."""


class CorruptRecordError(CoreError):
    """A record's checksum or layout is wrong."""


class OffsetOutOfRangeError(CoreError):
    """A queue offset lies outside what the queue holds."""


class MessageTooLargeError(CoreError):
    """A message is larger than the store accepts."""


class SelectorError(CoreError):
    """A selector is not written as its language wants it; `position` counts characters from 0."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at character {position + 1}")
        self.reason = reason
        self.position = position
