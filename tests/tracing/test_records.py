"""Finished spans as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.tracing.records import MOST_BYTES, Batch, SpanRecord, dump_batches, load_batch

SPAN = SpanRecord(
    "zkrpc", "Echo/echo", 2, b"t" * 16, b"s" * 8, 1, "a=b", b"p" * 8, True, 10, 20, 2, "why",
    {"rpc.method": "Echo/echo", "zkrpc.attempts": 2, "share": 0.5, "yes": True, "list": ["a", "b"]},
    [("exception", 15, {"exception.type": "ValueError"})], [(1, 2, 1, "", {})],
)  # fmt: skip


def test_spans_are_read_as_they_were_written() -> None:
    """With the process and its resource."""
    batch = Batch(7, {"service.name": "echo"}, [SPAN, SPAN._replace(parent_id=b"")])
    ((message, count),) = dump_batches(batch.pid, batch.resource, batch.spans)
    assert load_batch(message) == batch and count == 2


def test_what_many_spans_say_is_in_a_message_once() -> None:
    """And is read as if each had said it, before what it says itself."""
    facts = ({"rpc.method": "another", "long": "x" * 1000}, {"more": 1})
    ((message, _),) = dump_batches(7, {}, [SPAN._replace(facts=facts)] * 10)
    assert len(message) < 5000
    for span in load_batch(message).spans:
        assert span == SPAN._replace(attributes={"long": "x" * 1000, "more": 1, **SPAN.attributes})


def test_what_is_too_much_for_one_message_goes_with_several() -> None:
    """As it is; of one that is too large the others lose nothing."""
    large = SPAN._replace(attributes={"text": "x" * (MOST_BYTES // 3)})
    huge = SPAN._replace(attributes={"text": "x" * MOST_BYTES})
    messages = list(dump_batches(7, {}, [large, large, large, huge, large]))
    assert [count for _, count in messages] == [2, 1, 1, 1]
    spans = [span for message, _ in messages for span in load_batch(message).spans]
    assert spans == [large, large, large, SPAN._replace(attributes={"text": "x" * 64}, events=[], links=[]), large]


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
    ((message, _),) = dump_batches(7, {}, [SPAN._replace(attributes=heavy)])
    (lean,) = load_batch(message).spans
    assert len(message) <= MOST_BYTES and lean.span_id == SPAN.span_id and lean.end == 20 and lean.events == []


def test_what_cannot_become_smaller_is_in_no_message() -> None:
    """Instead of being cut; it is counted."""
    assert list(dump_batches(7, {"resource": "x" * MOST_BYTES}, [SPAN, SPAN])) == [(b"", 1), (b"", 1)]
