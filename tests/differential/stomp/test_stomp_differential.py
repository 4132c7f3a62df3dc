"""The same frames to RabbitMQ's STOMP plugin and to us: every answer must be the same."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.differential.brokers import Access
from tests.differential.running import drawn, insist
from tests.differential.stomp.operations import Step
from tests.differential.stomp.pair import StompPair
from tests.differential.stomp.sequences import sequences

pytestmark = pytest.mark.differential


@pytest.fixture(scope="module")
def pair(accesses: tuple[Access, Access]) -> StompPair:
    return StompPair(*accesses)


@drawn
@given(steps=sequences())
def test_agree(pair: StompPair, steps: list[Step]) -> None:
    insist(lambda: pair.run(steps))
