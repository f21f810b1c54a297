"""What people are told."""

from __future__ import annotations

from zkrpc.election.chronicle import Chronicle
from zkrpc.election.effects import Order, Reason, ReportPrimary
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord


def record(epoch: int) -> PrimaryRecord:
    """A primary."""
    return PrimaryRecord(epoch=epoch, instance="w1", endpoint=Endpoint("h", 1))


def test_chronicle_reports_news_only() -> None:
    """The same primary is not reported twice, its going is."""
    told: list[Order] = []
    chronicle = Chronicle("/h", told.append)
    for news in (None, record(1), record(1), None):
        chronicle.report(news)
    assert told == [ReportPrimary(record(1)), ReportPrimary(None)]
    assert repr(chronicle) == "<Chronicle primary=None pending=0>"


def test_chronicle_keeps_lines_until_they_are_written() -> None:
    """In order; striking one that is not there any more is harmless."""
    chronicle = Chronicle("/h", lambda order: None)
    chronicle.note(record(1), None)
    chronicle.note(record(1), Reason.LEASE_ENDED)
    first = chronicle.pending()
    assert first is not None and first.reason is None
    chronicle.strike(first)
    chronicle.strike(first)
    second = chronicle.pending()
    assert second is not None and second.reason is Reason.LEASE_ENDED


def test_chronicle_forgets_the_oldest() -> None:
    """While ZooKeeper is away for long, only so much is kept."""
    chronicle = Chronicle("/h", lambda order: None)
    for epoch in range(1, 21):
        chronicle.note(record(epoch), None)
    line = chronicle.pending()
    assert line is not None and line.record.epoch == 13
