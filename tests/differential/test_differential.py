"""The same operations on RabbitMQ and on us: every answer must be the same.

`make differential` runs many examples; the test run a few, always the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bench.servers import RabbitMQ, RosettaMQ
from tests.differential.compare import Pair
from tests.differential.definitions import PLUGINS, define, write_definitions
from tests.differential.handshakes import CASES, answers
from tests.differential.operations import Example
from tests.differential.sequences import examples
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
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """RabbitMQ's, and ours."""
    folder: Path = tmp_path_factory.mktemp("differential")
    definitions = write_definitions(folder)
    with (
        RabbitMQ(folder / "reference", plugins=PLUGINS, definitions=definitions) as reference,
        RosettaMQ(folder / "ours") as ours,
    ):
        define(ours.http_port, definitions)
        yield reference.port, ours.port


@pytest.fixture(scope="module")
def pair(ports: tuple[int, int]) -> Iterator[Pair]:
    pair = Pair(*ports)
    yield pair
    pair.close()


def test_handshakes_agree(ports: tuple[int, int]) -> None:
    with ThreadPoolExecutor() as threads:
        theirs, ours = threads.map(answers, ports)
    assert {case: ours[case] for case in CASES} == theirs


@settings(
    max_examples=_EXAMPLES or 40,
    derandomize=not _EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(example=examples())
def test_agree(pair: Pair, example: Example) -> None:
    """A disagreement counts when it repeats: on a busy machine RabbitMQ's own answers vary, too."""
    for _ in range(_REPEATS):
        try:
            pair.run(example)
        except DisagreementError as disagreement:
            found = disagreement
        else:
            return
    raise found
