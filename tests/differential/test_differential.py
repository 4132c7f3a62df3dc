"""The same operations on RabbitMQ and on us: every answer must be the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given

from tests.differential.brokers import Access, Brokers
from tests.differential.handshakes import CASES, answers
from tests.differential.operations import Example
from tests.differential.pair import AmqpPair
from tests.differential.running import drawn, insist
from tests.differential.sequences import examples

pytestmark = pytest.mark.differential


@pytest.fixture(scope="module")
def pair(accesses: tuple[Access, Access]) -> AmqpPair:
    return AmqpPair(*accesses)


def test_handshakes_agree(brokers: Brokers) -> None:
    with ThreadPoolExecutor() as threads:
        theirs, ours = threads.map(answers, (broker.port for broker in brokers))
    assert {case: ours[case] for case in CASES} == theirs


@drawn
@given(example=examples())
def test_agree(pair: AmqpPair, example: Example) -> None:
    insist(lambda: pair.run(example))
