from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.amqp_peer import AmqpBroker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[AmqpBroker]:
    broker = AmqpBroker(tmp_path)
    yield broker
    broker.stop()
