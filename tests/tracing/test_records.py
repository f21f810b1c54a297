"""Finished spans as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.tracing.records import MOST_BYTES, Batch, SpanRecord, dump_batch, load_batch

SPAN = SpanRecord(
    "zkrpc", "Echo/echo", 2, b"t" * 16, b"s" * 8, 1, "a=b", b"p" * 8, True, 10, 20, 2, "why",
    {"rpc.method": "Echo/echo", "zkrpc.attempts": 2, "share": 0.5, "yes": True, "list": ["a", "b"]},
    [("exception", 15, {"exception.type": "ValueError"})], [(1, 2, 1, "", {})],
)  # fmt: skip


def test_spans_are_read_as_they_were_written() -> None:
    """With the process and its resource."""
    batch = Batch(7, {"service.name": "echo"}, [SPAN, SPAN._replace(parent_id=b"")])
    assert load_batch(dump_batch(batch.pid, batch.resource, batch.spans)) == batch


@pytest.mark.parametrize(
    "heavy",
    [
        {"text": "x" * MOST_BYTES},
        {"list": [str(n) * 4000 for n in range(20)]},
        {f"key {n}": str(n) * 500 for n in range(100)},
    ],
)
def test_a_span_that_is_too_large_loses_its_texts_and_not_its_place(heavy: dict[str, Any]) -> None:
    """Its ids and times are still there."""
    message = dump_batch(7, {}, [SPAN._replace(attributes=heavy)])
    (lean,) = load_batch(message).spans
    assert len(message) <= MOST_BYTES and lean.span_id == SPAN.span_id and lean.end == 20 and lean.events == []


def test_what_cannot_become_smaller_is_refused() -> None:
    """Instead of being cut."""
    with pytest.raises(ValueError, match="bytes"):
        dump_batch(7, {"resource": "x" * MOST_BYTES}, [SPAN])
