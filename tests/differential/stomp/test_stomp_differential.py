"""The same frames to RabbitMQ's STOMP plugin and to us: every answer must be the same.

`make differential` runs many examples; the test run a few, always the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bench.servers import RabbitMQ, RosettaMQ
from tests.differential.stomp.compare import Pair
from tests.differential.stomp.operations import Step
from tests.differential.stomp.sequences import sequences
from tests.differential.transcripts import DisagreementError

_REPEATS = 3
_EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "0"))

pytestmark = [
    pytest.mark.differential,
    pytest.mark.skipif(
        not RabbitMQ.is_installed(),
        reason="needs RabbitMQ to compare with: apt-get install rabbitmq-server",
    ),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("differential")
    with (
        RabbitMQ(folder / "reference", speaks_stomp=True) as reference,
        RosettaMQ(folder / "ours") as ours,
    ):
        pair = Pair((reference.stomp_port, reference.port), (ours.stomp_port, ours.port))
        yield pair
        pair.close()


@settings(
    max_examples=_EXAMPLES or 40,
    derandomize=not _EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(steps=sequences())
def test_agree(pair: Pair, steps: list[Step]) -> None:
    """A disagreement counts when it repeats: on a busy machine RabbitMQ's own answers vary, too."""
    for _ in range(_REPEATS):
        try:
            pair.run(steps)
        except DisagreementError as disagreement:
            found = disagreement
        else:
            return
    raise found
