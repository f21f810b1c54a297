"""The list of former primaries."""

from __future__ import annotations

import json

import pytest

from zkrpc.election.history import LENGTH, Term, read_history, record_began, record_ended
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord


def record(epoch: int, instance: str = "w1") -> PrimaryRecord:
    """A primary."""
    return PrimaryRecord(epoch=epoch, instance=instance, endpoint=Endpoint("h", 1))


def test_history_tells_a_hand_over() -> None:
    """Who, from, until, why."""
    value = record_ended(record_began(b"", record(1), 10.0), record(1), "handed over", 20.0)
    value = record_began(value, record(2, "w2"), 20.1)
    assert read_history(value) == [
        Term(epoch=1, instance="w1", endpoint="h:1", began_at=10.0, ended_at=20.0, reason="handed over"),
        Term(epoch=2, instance="w2", endpoint="h:1", began_at=20.1),
    ]


def test_history_closes_the_term_of_a_primary_that_died() -> None:
    """A successor says until when at most; the former may still come and say why."""
    value = record_began(record_began(b"", record(1), 10.0), record(2), 30.0)
    assert [(term.ended_at, term.reason) for term in read_history(value)] == [
        (30.0, "ended without a word"),
        (None, ""),
    ]
    first, _ = read_history(record_ended(value, record(1), "lease ended", 40.0))
    assert (first.ended_at, first.reason) == (30.0, "lease ended")


def test_history_takes_lines_in_any_order_and_twice() -> None:
    """A line that was written without an answer is written again; an end may come without its beginning."""
    value = record_began(record_began(b"", record(2), 10.0), record(2), 11.0)
    value = record_ended(value, record(1), "lease ended", 12.0)
    assert [(term.epoch, term.began_at) for term in read_history(value)] == [(1, 12.0), (2, 10.0)]


def test_history_keeps_the_newest() -> None:
    """Bounded, because it is one small node."""
    value = b""
    for epoch in range(1, LENGTH + 10):
        value = record_began(value, record(epoch), float(epoch))
    assert [term.epoch for term in read_history(value)] == list(range(10, LENGTH + 10))


@pytest.mark.parametrize("value", [b"", b"{", b"{}", b"3", b"[" * 60_000, b" " * 70_000, b"\xff"])
def test_history_that_cannot_be_read_begins_again(value: bytes) -> None:
    """Nothing depends on it."""
    assert read_history(value) == []


def test_history_leaves_out_what_is_no_term() -> None:
    """Each entry is judged alone."""
    good = {"epoch": 1, "instance": "a", "endpoint": "", "began_at": 1.0, "ended_at": None, "reason": ""}
    bad = [
        3,
        {},
        {**good, "epoch": "1"},
        {**good, "instance": 3},
        {**good, "began_at": None},
        {**good, "ended_at": "x"},
    ]
    assert [term.instance for term in read_history(json.dumps([*bad, {**good, "more": 1}]).encode())] == ["a"]


@pytest.mark.parametrize("at", ["NaN", "Infinity", "1e999", "1e300", "-1", "9" * 400, "true"])
@pytest.mark.parametrize("field", ["began_at", "ended_at"])
def test_history_leaves_out_terms_at_impossible_times(field: str, at: str) -> None:
    """They have no date, and some of them are not even JSON."""
    times = {"began_at": "1.0", "ended_at": "2.0", field: at}
    entry = f'"epoch": 1, "instance": "w", "endpoint": "h:1", "reason": "", "began_at": {times["began_at"]}'
    assert read_history(f'[{{{entry}, "ended_at": {times["ended_at"]}}}]'.encode()) == []
