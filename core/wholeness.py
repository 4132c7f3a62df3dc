"""Are the parts of a data folder all there, and what of them is damaged?

A checkpoint is written when all that it speaks of is on the disk. So whatever it names and another
part does not know was lost later: a file was deleted, overwritten, or comes from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger

from core.checkpoint import Checkpoint
from core.errors import StoreFormatError
from core.ids import Ids
from core.metadata import Metadata
from core.progress import Progress

_log = Logger()


def refuse_incomplete(
    directory: Path, checkpoint: Checkpoint, ids: Ids, progress: Progress
) -> None:
    """Raise `StoreFormatError` where going on would lose what the other parts still have.

    Nothing was changed yet, so whoever puts the missing file back loses nothing.
    """
    if progress.first_number > checkpoint.progress_number:
        raise StoreFormatError(
            f"{directory / 'checkpoint'}: it is missing, or older than the progress journal"
        )
    if not ids.is_known("queue", max(checkpoint.queues, default=0)):
        raise StoreFormatError(
            f"{directory / 'metadata'}: it does not know the queues that the checkpoint names"
        )


def report_damage(metadata: Metadata, progress: Progress, is_first_start: bool) -> None:
    """Tell what is lost of the journals, now that they were read."""
    for start, end in metadata.damage:
        _log.error(
            "metadata is damaged from byte {start} to {end}: what stood there is lost; the"
            " file is kept as metadata.damaged",
            start=start,
            end=end,
        )
    for start, _ in progress.damage:
        _log.error(
            "the progress journal is damaged at byte {start}: what was acknowledged after that"
            " is delivered again",
            start=start,
        )
    if progress.is_missing and not is_first_start:
        _log.error(
            "the progress journal is missing: what was acknowledged since the last checkpoint is"
            " delivered again"
        )
