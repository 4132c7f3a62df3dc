"""How many examples are drawn, and what becomes of a disagreement: for any protocol.

`make differential` runs many examples (`DIFFERENTIAL_EXAMPLES`; `--hypothesis-seed` repeats a run),
the test run a few, always the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings

from tests.differential.transcripts import DisagreementError

_SHORT = 12
_REPEATS = 3
_EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "0"))

drawn = settings(
    max_examples=_EXAMPLES or _SHORT,
    derandomize=not _EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def insist(run: Callable[[], None]) -> None:
    """A disagreement counts when it repeats: on a busy machine RabbitMQ's own answers vary, too."""
    for _ in range(_REPEATS):
        try:
            run()
        except DisagreementError as disagreement:
            found = disagreement
        else:
            return
    raise found
