"""Requests that share a sequence id wait for one another."""

from __future__ import annotations

from tests.support.requests import call_of
from zkrpc.wire.held import HeldRequests


def test_held_requests_come_in_the_order_of_arrival_by_id() -> None:
    """Others' ids do not matter, and nothing stays behind."""
    held = HeldRequests()
    first, second, other = (call_of("echo", b"\0")._replace(seqid=seqid) for seqid in (1, 1, 2))
    for request in (first, second, other):
        held.add(request)
    assert (held.count, list(held)) == (3, [first, second, other])
    assert held.pop(1) is first and held.pop(3) is None and held.pop(1) is second and held.pop(1) is None
    assert (held.count, list(held)) == (1, [other])
    held.clear()
    assert (held.count, list(held), held.pop(2)) == (0, [], None)
