"""What people are told."""

from __future__ import annotations

from zkrpc.election.chronicle import Chronicle
from zkrpc.election.effects import Order, Reason, RecordHistory, RecordTrouble, ReportPrimary
from zkrpc.election.tree import ElectionPaths
from zkrpc.election.trouble import Trouble
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord

PATHS = ElectionPaths("ledger")


def record(epoch: int) -> PrimaryRecord:
    """A primary."""
    return PrimaryRecord(epoch=epoch, instance="w1", endpoint=Endpoint("h", 1))


def test_chronicle_reports_news_only() -> None:
    """The same primary is not reported twice, its going is."""
    told: list[Order] = []
    chronicle = Chronicle(PATHS, "w1", told.append)
    for news in (None, record(1), record(1), None):
        chronicle.report(news)
    assert told == [ReportPrimary(record(1)), ReportPrimary(None)]
    assert repr(chronicle) == "<Chronicle primary=None pending=0>"


def test_chronicle_keeps_lines_until_they_are_written() -> None:
    """In order; striking one that is not there any more is harmless."""
    chronicle = Chronicle(PATHS, "w1", lambda order: None)
    chronicle.note(record(1), None)
    chronicle.note(record(1), Reason.LEASE_ENDED)
    first = chronicle.pending()
    assert isinstance(first, RecordHistory) and first.reason is None
    chronicle.strike(first)
    chronicle.strike(first)
    second = chronicle.pending()
    assert isinstance(second, RecordHistory) and second.reason is Reason.LEASE_ENDED


def test_chronicle_forgets_the_oldest() -> None:
    """While ZooKeeper is away for long, only so much is kept."""
    chronicle = Chronicle(PATHS, "w1", lambda order: None)
    for epoch in range(1, 21):
        chronicle.note(record(epoch), None)
    line = chronicle.pending()
    assert isinstance(line, RecordHistory) and line.record.epoch == 13


def test_chronicle_keeps_only_the_newest_word_on_why_an_instance_cannot_lead() -> None:
    """Who recovers takes it back, once; who never complained has nothing to take back."""
    chronicle = Chronicle(PATHS, "w1", lambda order: None)
    chronicle.recover()
    assert chronicle.pending() is None
    for times in (1, 2):
        chronicle.complain("no such table", times)
    told = chronicle.pending()
    path = "/services/ledger/election/main/troubles/w1"
    assert told == RecordTrouble(path=path, value=Trouble(why="no such table", times=2).dump())
    chronicle.note(record(1), None)
    for _ in range(2):
        chronicle.recover()
    assert isinstance(line := chronicle.pending(), RecordHistory)
    chronicle.strike(line)
    assert chronicle.pending() == RecordTrouble(path=path, value=None)
