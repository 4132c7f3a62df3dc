from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stomp_peer import StompBroker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StompBroker]:
    broker = StompBroker(tmp_path)
    yield broker
    broker.stop()
