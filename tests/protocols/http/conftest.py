from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_peer import HttpBroker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HttpBroker]:
    broker = HttpBroker(tmp_path)
    yield broker
    broker.stop()
