"""What people are told of an election."""

from __future__ import annotations

import json
import logging

import pytest

from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import Order, Reason, RecordHistory, RecordTrouble, ReportPrimary
from zkrpc.election.history import (
    LENGTH,
    Announcer,
    Recorder,
    Term,
    TroubleRecord,
    read_history,
    record_began,
    record_ended,
)
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord

OURS = Participant(paths=ElectionPaths("ledger"), instance="w1", endpoint=Endpoint("h", 1), unique="u")


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


def test_trouble_is_read_as_it_was_written() -> None:
    """The why and how often."""
    trouble = TroubleRecord(why="ValueError: no such table", times=3)
    assert TroubleRecord.parse(trouble.dump()) == trouble


def test_trouble_is_one_printable_line_of_bounded_length_on_both_sides() -> None:
    """What somebody's exception said ends on an operator's terminal; and somebody else may have written the node."""
    hostile = "bad\x1b[2J\n\tlines \u202e" + "x" * 5000
    read = TroubleRecord.parse(TroubleRecord(why=hostile).dump())
    assert read is not None and read.why.startswith("bad\\x1b[2J lines \\u202exxx") and len(read.why) < 400
    raw = TroubleRecord.parse(b'{"why": "a\\u001b[2Jb", "times": 1}')
    assert raw is not None and raw.why == "a\\x1b[2Jb"


@pytest.mark.parametrize(
    "value",
    [b"", b"?", b"[]", b"{}", b'{"why": 1, "times": 1}', b'{"why": "", "times": 0}', b'{"why": "", "times": true}'],
)
def test_trouble_that_is_none_is_left_out(value: bytes) -> None:
    """Nothing depends on it."""
    assert TroubleRecord.parse(value) is None


def test_recorder_reports_news_only() -> None:
    """The same primary is not reported twice, its going is."""
    told: list[Order] = []
    recorder = Recorder(OURS, told.append)
    for news in (None, record(1), record(1), None):
        recorder.report(news)
    assert told == [ReportPrimary(record(1)), ReportPrimary(None)]
    assert repr(recorder) == "<Recorder primary=None pending=0>"


def test_recorder_keeps_lines_until_they_are_written() -> None:
    """In order; striking one that is not there any more is harmless."""
    recorder = Recorder(OURS, lambda order: None)
    recorder.note(record(1), None)
    recorder.note(record(1), Reason.LEASE_ENDED)
    first = recorder.pending()
    assert isinstance(first, RecordHistory) and first.reason is None
    recorder.strike(first)
    recorder.strike(first)
    second = recorder.pending()
    assert isinstance(second, RecordHistory) and second.reason is Reason.LEASE_ENDED


def test_recorder_forgets_the_oldest() -> None:
    """While ZooKeeper is away for long, only so much is kept."""
    recorder = Recorder(OURS, lambda order: None)
    for epoch in range(1, 21):
        recorder.note(record(epoch), None)
    line = recorder.pending()
    assert isinstance(line, RecordHistory) and line.record.epoch == 13


def test_recorder_keeps_only_the_newest_word_on_why_an_instance_cannot_lead() -> None:
    """Who recovers takes it back, once; who never complained has nothing to take back."""
    recorder = Recorder(OURS, lambda order: None)
    recorder.recover()
    assert recorder.pending() is None
    for times in (1, 2):
        recorder.complain("no such table", times)
    told = recorder.pending()
    path = "/services/ledger/election/main/troubles/w1"
    assert told == RecordTrouble(path=path, value=TroubleRecord(why="no such table", times=2).dump())
    recorder.note(record(1), None)
    for _ in range(2):
        recorder.recover()
    assert isinstance(line := recorder.pending(), RecordHistory)
    recorder.strike(line)
    assert recorder.pending() == RecordTrouble(path=path, value=None)


def test_announcer_tells_each_trouble_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried again; of lost connections the session tells."""
    caplog.set_level(logging.INFO)
    announcer = Announcer("ledger/main")
    for trouble in (None, "no answer", "x cannot be read", "no answer", "x cannot be read", None, None):
        announcer.hear(trouble)
    assert [record.getMessage() for record in caplog.records] == [
        "the election of ledger/main has to wait: x cannot be read",
        "the election of ledger/main goes on",
    ]
    assert "trouble=None" in repr(announcer)
