"""Each event is counted where it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from zkrpc.metrics import table
from zkrpc.metrics.counting import Counting
from zkrpc.metrics.store import Store
from zkrpc.metrics.table import Family
from zkrpc.telemetry import events
from zkrpc.telemetry.events import OTHER

CLIENT = {"service": "users", "target": "zookeeper://h:1/users"}
CALL = {**CLIENT, "interface": "Users", "method": "get"}
WHERE, METHOD, SYSTEM = "zookeeper://h:1/users", "Users/get", "apache_thrift"
CANDIDATE = {"service": "ledger", "group": "main", "instance": "w1"}


class Bench:
    """A counting at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store = Store()
        self.counting = Counting(self.store, lambda: self.now)

    def tell(self, *told: events.Event) -> None:
        """Takes in some events."""
        for event in told:
            self.counting.receive(event)

    def values(self, family: Family) -> Mapping[Any, float]:
        """The series of a counter."""
        return self.store.values(family)

    def sums(self, family: Family) -> dict[tuple[str, ...], tuple[int, float]]:
        """How many durations and their sum, for each series of a histogram."""
        found = {}
        for labels, durations in self.store.histograms(family):
            buckets = durations.read()
            found[labels] = (sum(buckets.counts), round(buckets.total, 6))
        return found


def test_calls_are_counted_by_method_target_status_and_error() -> None:
    """One that went well by its recorder; a declared exception is a status and no error; a failure says whether the
    handler ran."""
    bench = Bench()
    bench.counting.of_calls("users", "Users", "get", WHERE)([0.25])
    bench.tell(
        events.CallFinished(seconds=0.5, attempts=1, endpoint="h:2", error="Missing", declared=True, **CALL),
        events.CallFinished(seconds=1.0, attempts=2, endpoint="", error="Unavailable", executed="no", **CALL),
        events.CallFinished(seconds=1.0, attempts=0, endpoint="", error="Unavailable", executed="no", **CALL),
    )
    assert bench.sums(table.CLIENT_CALLS) == {
        (SYSTEM, METHOD, WHERE, "OK", ""): (1, 0.25),
        (SYSTEM, METHOD, WHERE, "Missing", ""): (1, 0.5),
        (SYSTEM, METHOD, WHERE, "Unavailable", "Unavailable"): (2, 2.0),
    }
    assert bench.values(table.CLIENT_FAILURES) == {(METHOD, WHERE, "Unavailable", "no"): 2.0}
    assert bench.values(table.CLIENT_ATTEMPTS) == {(METHOD, WHERE): -1.0}


def test_client_without_a_target_is_named_by_its_service() -> None:
    """Its resolver does not say where it looks."""
    bench = Bench()
    bench.counting.of_calls("users", "Users", "get", "")([0.25])
    bench.tell(events.MemberJoined(service="users", instance="w1", endpoint="h:2"))
    assert list(bench.sums(table.CLIENT_CALLS)) == [(SYSTEM, METHOD, "users", "OK", "")]
    assert bench.values(table.MEMBERS_JOINED) == {("users",): 1.0}


def test_requests_are_counted_by_method_service_status_and_error() -> None:
    """A method that the interface does not have is ``_OTHER``; refusals are apart."""
    bench = Bench()
    server: dict[str, Any] = {"service": "users", "interface": "Users", "peer": "h:3", "caller": "shop"}
    bench.counting.of_requests("users", "Users", "get")([0.25])
    bench.tell(
        events.RequestFinished(method="get", queued=0.0, seconds=0.5, error="Missing", declared=True, **server),
        events.RequestFinished(method=OTHER, queued=0.0, seconds=0.0, error="UnknownMethod", **server),
        events.RequestRefused(method="get", queued=0.0, error="Overloaded", **server),
    )
    assert bench.sums(table.SERVER_CALLS) == {
        (SYSTEM, METHOD, "users", "OK", ""): (1, 0.25),
        (SYSTEM, METHOD, "users", "Missing", ""): (1, 0.5),
        (SYSTEM, OTHER, "users", "UnknownMethod", "UnknownMethod"): (1, 0.0),
    }
    assert bench.values(table.SERVER_REFUSED) == {(METHOD, "users", "Overloaded"): 1.0}


MEMBER = {**CLIENT, "instance": "w1", "endpoint": "h:2"}
ENDPOINT = {**CLIENT, "endpoint": "h:2"}


@pytest.mark.parametrize(
    "event, family, labels",
    [
        (
            events.CallRetried(attempt=1, endpoint="h:2", error="Draining", pause=0.1, **CALL),
            table.CLIENT_RETRIES,
            (METHOD, WHERE, "Draining"),
        ),
        (events.CallHedged(attempt=2, **CALL), table.CLIENT_HEDGES, (METHOD, WHERE)),
        (events.RetryBudgetExhausted(**CLIENT), table.CLIENT_BUDGET_EXHAUSTED, (WHERE,)),
        (events.MemberLeft(**MEMBER), table.MEMBERS_LEFT, (WHERE,)),
        (events.BreakerOpened(seconds=1.0, **MEMBER), table.BREAKERS_OPENED, (WHERE,)),
        (events.MemberSpared(seconds=1.0, **MEMBER), table.MEMBERS_SPARED, (WHERE,)),
        (events.ConnectionOpened(seconds=0.1, **ENDPOINT), table.CLIENT_CONNECTIONS_OPENED, (WHERE,)),
        (events.ConnectionFailed(seconds=0.1, reason="x", **ENDPOINT), table.CLIENT_CONNECTIONS_FAILED, (WHERE,)),
        (
            events.ConnectionClosed(seconds=0.1, reason="silent", **ENDPOINT),
            table.CLIENT_CONNECTIONS_CLOSED,
            (WHERE, "silent"),
        ),
        (events.PeerConnected(service="users", peer="h:3"), table.SERVER_CONNECTIONS_OPENED, ("users",)),
        (events.PeerRefused(service="users", peer="h:3"), table.SERVER_CONNECTIONS_REFUSED, ("users",)),
        (
            events.PeerDisconnected(service="users", peer="h:3", seconds=1.0, reason="nonsense"),
            table.SERVER_CONNECTIONS_BROKEN,
            ("users",),
        ),
        (
            events.HandshakeFailed(service="users", peer="h:3", reason="plain"),
            table.HANDSHAKES_FAILED,
            ("users", "plain"),
        ),
        (
            events.CertificateReloaded(service="users", side="server"),
            table.CERTIFICATES_RELOADED,
            ("users", "server"),
        ),
        (
            events.CertificateRejected(service="users", side="client", reason="x"),
            table.CERTIFICATES_REJECTED,
            ("users", "client"),
        ),
        (events.DrainStarted(service="users", calls=3), table.DRAINS, ("users",)),
        (
            events.DrainStepTaken(service="users", step="withdraw", seconds=1.0, error="x"),
            table.DRAIN_STEP_FAILURES,
            ("users", "withdraw"),
        ),
        (
            events.SessionChanged(hosts="h:1", before="suspended", after="lost", session="", timeout=None),
            table.SESSION_EXPIRATIONS,
            ("h:1",),
        ),
        (
            events.SessionChanged(hosts="h:1", before="connected", after="suspended", session="1", timeout=1.0),
            table.SESSION_SUSPENSIONS,
            ("h:1",),
        ),
        (events.Registered(path="/p", session="1"), table.REGISTRATIONS, ()),
        (events.RegistrationConflicted(path="/p", reason="x", successor=False), table.REGISTRATION_CONFLICTS, ()),
        (events.RegistrationFailed(path="/p", error="SessionLost"), table.REGISTRATION_FAILURES, ("SessionLost",)),
        (events.Elected(epoch=7, **CANDIDATE), table.ELECTED, ("ledger", "main")),
        (
            events.Deposed(epoch=7, reason="handed over", voluntary=True, **CANDIDATE),
            table.DEPOSED,
            ("ledger", "main", "true"),
        ),
    ],
)
def test_event_is_one_more_of_something(event: events.Event, family: Family, labels: tuple[str, ...]) -> None:
    """By these labels, each time."""
    bench = Bench()
    bench.tell(event, event)
    assert bench.values(family) == {labels: 2.0}


def test_ordinary_ends_are_not_counted_as_trouble() -> None:
    """A peer that goes, a session that connects or is closed, a step that is taken."""
    bench = Bench()
    bench.tell(
        events.PeerDisconnected(service="users", peer="h:3", seconds=1.0),
        events.SessionChanged(hosts="h:1", before="connecting", after="connected", session="1", timeout=1.0),
        events.DrainStepTaken(service="users", step="withdraw", seconds=0.5),
    )
    for family in (table.SERVER_CONNECTIONS_BROKEN, table.SESSION_EXPIRATIONS, table.DRAIN_STEP_FAILURES):
        assert bench.values(family) == {}
    assert bench.values(table.DRAIN_STEP) == {("users", "withdraw"): 0.5}


def test_requests_to_zookeeper_are_counted_by_outcome() -> None:
    """Unknown ones among them."""
    bench = Bench()
    for error in ("", "NodeMissing", "OutcomeUnknown", ""):
        bench.tell(events.RequestAnswered(hosts="h:1", operation="get", seconds=0.5, error=error))
    assert bench.sums(table.ZOOKEEPER_REQUESTS) == {
        ("h:1", "get", "ok"): (2, 1.0),
        ("h:1", "get", "NodeMissing"): (1, 0.5),
        ("h:1", "get", "OutcomeUnknown"): (1, 0.5),
    }


def test_hub_that_was_blocked_is_counted_with_its_time() -> None:
    """The place is not a label."""
    bench = Bench()
    bench.tell(events.HubBlocked(seconds=0.75, place="somewhere"))
    assert bench.sums(table.HUB_BLOCKED) == {(): (1, 0.75)}


def test_time_from_an_election_to_serving_is_measured() -> None:
    """Only if it came to that."""
    bench = Bench()
    bench.tell(events.Synchronised(epoch=1, **CANDIDATE), events.Elected(epoch=2, **CANDIDATE))
    bench.now += 0.5
    bench.tell(events.Synchronised(epoch=2, **CANDIDATE))
    bench.tell(events.Deposed(epoch=2, reason="lease ended", voluntary=False, **CANDIDATE))
    bench.tell(events.Elected(epoch=3, **CANDIDATE), events.CandidacyEnded(**CANDIDATE))
    bench.now += 0.5
    bench.tell(events.Synchronised(epoch=3, **CANDIDATE))
    assert bench.sums(table.SYNCHRONISATION) == {("ledger", "main"): (1, 0.5)}


def test_time_without_a_primary_is_measured_between_two() -> None:
    """Not before the first one, and not beyond the end of the candidacy."""
    bench = Bench()

    def primary(name: str) -> events.Event:
        return events.PrimaryChanged(primary=name, endpoint="", epoch=1, **CANDIDATE)

    bench.tell(primary(""))
    bench.now += 5
    bench.tell(primary("w2"), primary("w3"))
    assert bench.sums(table.GAP) == {}
    bench.tell(primary(""))
    bench.now += 0.5
    bench.tell(primary(""))
    bench.now += 0.5
    bench.tell(primary("w1"))
    assert bench.sums(table.GAP) == {("ledger", "main"): (1, 1.0)}
    bench.tell(primary(""), events.CandidacyEnded(**CANDIDATE))
    bench.now += 5
    bench.tell(primary("w2"))
    assert bench.sums(table.GAP) == {("ledger", "main"): (1, 1.0)}


def test_all_kinds_that_it_names_are_counted_and_no_others() -> None:
    """An observer is told of nothing that it has no use for."""
    kinds = set(Bench().counting.kinds)
    assert events.CallStarted not in kinds and events.ConnectivityChanged not in kinds
    assert {events.CallFinished, events.RequestFinished, events.HubBlocked} < kinds
