"""An operator's order as bytes."""

from __future__ import annotations

import json

import pytest

from zkrpc.errors import ConfigError
from zkrpc.registry.offline import MAX_REASON, OfflineOrder


def test_order_is_read_as_it_was_written() -> None:
    """With the time that ZooKeeper keeps of it."""
    order = OfflineOrder(reason="leaks memory \u202e", by="ada@ops")
    read = OfflineOrder.parse(order.dump(), since=5.0)
    assert (read.reason, read.by, read.since) == (order.reason, order.by, 5.0)
    assert str(read) == "leaks memory \u202e (by ada@ops)" and str(OfflineOrder()) == "no reason given (by somebody)"


@pytest.mark.parametrize(
    "payload", [b"", b"?", b"[1]", b'{"reason": 1, "by": []}', b"{" * 50_000, json.dumps({"by": "x" * 20_000}).encode()]
)
def test_node_without_a_good_word_is_an_order_all_the_same(payload: bytes) -> None:
    """Somebody has made it by hand, and its existence is what counts."""
    assert OfflineOrder.parse(payload, 2.0) == OfflineOrder(since=2.0)


def test_reason_is_a_sentence_and_no_book() -> None:
    """It is shown in tables."""
    assert OfflineOrder(reason="x" * MAX_REASON).dump()
    with pytest.raises(ConfigError, match=f"at most {MAX_REASON} characters, this one {MAX_REASON + 1}"):
        OfflineOrder(reason="x" * (MAX_REASON + 1)).dump()
