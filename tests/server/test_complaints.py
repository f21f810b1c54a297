"""A line for the first, and a number for the rest."""

from __future__ import annotations

import logging

import pytest

from zkrpc.server.complaints import MOST, OTHERS, PERIOD, ComplaintKind, Complaints, PeerLog


def test_complaint_is_made_once_in_a_minute_for_each_address() -> None:
    """Another address is another matter."""
    complaints = Complaints()
    assert [complaints.admits(address, 0.0) for address in ("a", "a", "b", "a")] == [True, False, True, False]
    assert list(complaints.take_due(PERIOD - 1)) == [] and not complaints.admits("a", PERIOD - 1)
    assert repr(complaints) == "<Complaints about 2>"


def test_complaints_that_were_not_made_are_counted_when_the_minute_is_over() -> None:
    """Each once; whoever did it only once is forgotten, and the next complaint is made again."""
    complaints = Complaints()
    for address, now in (("a", 0.0), ("b", 10.0), ("a", 11.0), ("a", 12.0)):
        complaints.admits(address, now)
    assert list(complaints.take_due(PERIOD)) == [("a", 2)]
    assert list(complaints.take_due(PERIOD + 10)) == []
    assert complaints.admits("a", PERIOD + 10) and complaints.admits("b", PERIOD + 10)


def test_complaints_about_too_many_addresses_are_one() -> None:
    """What is remembered is bounded, and so is what is written."""
    complaints = Complaints()
    made = [complaints.admits(f"10.{number}", 0.0) for number in range(MOST + 100)]
    assert made.count(True) == MOST + 1
    assert list(complaints.take_due(PERIOD)) == [(OTHERS, 99)]
    assert repr(complaints) == "<Complaints about 0>"


def test_complaints_may_be_made_a_few_times() -> None:
    """Where each says something of its own."""
    complaints = Complaints(3)
    assert [complaints.admits("a", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert list(complaints.take_due(PERIOD)) == [("a", 2)]


def test_peer_log_writes_each_kind_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    """The line as it was given, later the number; tracebacks for the first few failures."""
    peers = PeerLog(logging.getLogger("zkrpc.test"))
    for number in range(3):
        peers.complain(ComplaintKind.CLOSED, "10.0.0.1", 0.0, "closed %s: %s", f"10.0.0.1:{number}", "HTTP, not Thrift")
        peers.complain(ComplaintKind.REFUSED, "10.0.0.1", 0.0, "refused %s", f"10.0.0.1:{number}")
    deny = peers.denier(lambda: 1.0)
    deny("cn:web", "cn:web may not call remove")
    deny("cn:web", "cn:web may not call remove")
    for number in range(12):
        peers.complain(ComplaintKind.FAILED, "10.0.0.2", 1.0, "failed", error=ValueError(number))
    peers.settle(PERIOD)
    peers.settle(PERIOD + 1)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == ["closed 10.0.0.1:0: HTTP, not Thrift", "refused 10.0.0.1:0"]
    assert messages[2] == "denied a call of cn:web: cn:web may not call remove"
    assert messages[3:13] == ["failed"] * 10 and caplog.records[3].exc_info
    assert messages[13:] == [
        "closed 2 more connections of 10.0.0.1 in the last minute",
        "refused 2 more connections of 10.0.0.1 in the last minute",
        "denied 1 more calls of cn:web in the last minute",
        "handlers failed 2 more times for 10.0.0.2 in the last minute",
    ]
