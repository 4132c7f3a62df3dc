from __future__ import annotations

from dataclasses import replace

from gateway.demo.sample import Sample, sample_from_texts, sample_to_texts
from interop.compare import differences

SAMPLE = Sample(b"x", "text/plain", "c", "r", 1, False, {"a": "b"})
NAMES = {
    "content_type": "ct",
    "correlation_id": "cid",
    "reply_to": "rt",
    "priority": "p",
}


def test_equal_messages_have_no_differences() -> None:
    assert differences(SAMPLE, SAMPLE) == []


def test_every_field_that_differs_is_named() -> None:
    arrived = replace(SAMPLE, body=b"y" * 100, priority=None)
    assert differences(SAMPLE, arrived) == [
        f"body: sent b'x', arrived b'{'y' * 58}... (103 characters)",
        "priority: sent 1, arrived None",
    ]


def test_samples_cross_over_as_text() -> None:
    texts = sample_to_texts(SAMPLE, NAMES)
    assert texts == {"a": "b", "ct": "text/plain", "cid": "c", "rt": "r", "p": "1"}
    assert sample_from_texts(b"x", texts, NAMES, persistent=False) == SAMPLE
    assert sample_from_texts(b"", {}, NAMES, persistent=True) == Sample(b"", persistent=True)
