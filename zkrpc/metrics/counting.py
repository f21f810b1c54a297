"""From events to counters and histograms. Pure: the time is handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkrpc.metrics import table
from zkrpc.metrics.store import Store
from zkrpc.metrics.table import SYSTEM, Family
from zkrpc.telemetry import events
from zkrpc.telemetry.events import Event
from zkrpc.telemetry.recording import Recorder

OK = "OK"
"""The status of a call that went well. Other statuses are the names of exceptions: Thrift has no codes."""

_MOST_ELECTIONS = 1000
"""Groups of elections of which times are remembered; a service has some dozens at most."""


class Counting:
    """Takes events in, and counts them in a store. ``clock`` gives monotonic seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._elected_at: dict[tuple[str, str, str], float] = {}
        self._leaderless_since: dict[tuple[str, str, str], float | None] = {}
        self._taken: dict[type[Event], Callable[[Any], object]] = {
            events.CallFinished: self._call_finished,
            events.CallRetried: self._call_retried,
            events.CallHedged: self._call_hedged,
            events.RequestFinished: self._request_finished,
            events.RequestRefused: self._request_refused,
            events.SessionChanged: self._session_changed,
            events.RequestAnswered: self._request_answered,
            events.DrainStepTaken: self._drain_step_taken,
            events.PeerDisconnected: self._peer_disconnected,
            events.Elected: self._elected,
            events.Synchronised: self._synchronised,
            events.Deposed: self._deposed,
            events.PrimaryChanged: self._primary_changed,
            events.CandidacyEnded: self._candidacy_ended,
            events.HubBlocked: self._hub_blocked,
            **{kind: self._plainly(*how) for kind, how in _COUNTED.items()},
        }

    def __repr__(self) -> str:
        """The store."""
        return f"<Counting {self._store!r}>"

    @property
    def kinds(self) -> tuple[type[Event], ...]:
        """The kinds of events that it counts."""
        return tuple(self._taken)

    def receive(self, event: Event) -> None:
        """Counts one event."""
        self._taken[type(event)](event)

    # -- calls and requests

    def of_calls(self, service: str, interface: str, method: str, target: str) -> Recorder:
        """The recorder of a method's calls that go well."""
        labels = (SYSTEM, f"{interface}/{method}", target or service, OK, "")
        return self._store.durations(table.CLIENT_CALLS, *labels).record_all

    def of_requests(self, service: str, interface: str, method: str) -> Recorder:
        """The recorder of a method's requests that go well."""
        labels = (SYSTEM, f"{interface}/{method}", service, OK, "")
        return self._store.durations(table.SERVER_CALLS, *labels).record_all

    def _call_finished(self, event: events.CallFinished) -> None:
        where, method = event.target or event.service, f"{event.interface}/{event.method}"
        status, error = _outcome(event)
        self._store.durations(table.CLIENT_CALLS, SYSTEM, method, where, status, error).record(event.seconds)
        if event.attempts == 0:
            # Attempts are the calls that have ended, and what was sent beside each of them; this one was not sent.
            self._store.add(table.CLIENT_ATTEMPTS, method, where, amount=-1.0)
        if error:
            self._store.add(table.CLIENT_FAILURES, method, where, error, event.executed)

    def _call_retried(self, event: events.CallRetried) -> None:
        where, method = event.target or event.service, f"{event.interface}/{event.method}"
        self._store.add(table.CLIENT_RETRIES, method, where, event.error)

    def _call_hedged(self, event: events.CallHedged) -> None:
        where, method = event.target or event.service, f"{event.interface}/{event.method}"
        self._store.add(table.CLIENT_HEDGES, method, where)

    def _request_finished(self, event: events.RequestFinished) -> None:
        status, error = _outcome(event)
        labels = (SYSTEM, _method_of(event), event.service, status, error)
        self._store.durations(table.SERVER_CALLS, *labels).record(event.seconds)

    def _request_refused(self, event: events.RequestRefused) -> None:
        self._store.add(table.SERVER_REFUSED, _method_of(event), event.service, event.error)

    # -- sessions, servers

    def _session_changed(self, event: events.SessionChanged) -> None:
        if event.after == "lost":
            self._store.add(table.SESSION_EXPIRATIONS, event.hosts)
        elif event.after == "suspended":
            self._store.add(table.SESSION_SUSPENSIONS, event.hosts)

    def _request_answered(self, event: events.RequestAnswered) -> None:
        outcome = event.error or "ok"
        self._store.durations(table.ZOOKEEPER_REQUESTS, event.hosts, event.operation, outcome).record(event.seconds)

    def _drain_step_taken(self, event: events.DrainStepTaken) -> None:
        self._store.put(table.DRAIN_STEP, event.service, event.step, value=event.seconds)
        if event.error:
            self._store.add(table.DRAIN_STEP_FAILURES, event.service, event.step)

    def _peer_disconnected(self, event: events.PeerDisconnected) -> None:
        if event.reason:
            self._store.add(table.SERVER_CONNECTIONS_BROKEN, event.service)

    def _hub_blocked(self, event: events.HubBlocked) -> None:
        self._store.durations(table.HUB_BLOCKED).record(event.seconds)

    # -- elections

    def _elected(self, event: events.Elected) -> None:
        self._store.add(table.ELECTED, event.service, event.group)
        if len(self._elected_at) < _MOST_ELECTIONS:
            self._elected_at[_candidate(event)] = self._clock()

    def _synchronised(self, event: events.Synchronised) -> None:
        began = self._elected_at.pop(_candidate(event), None)
        if began is not None:
            self._store.durations(table.SYNCHRONISATION, event.service, event.group).record(self._clock() - began)

    def _deposed(self, event: events.Deposed) -> None:
        self._elected_at.pop(_candidate(event), None)
        self._store.add(table.DEPOSED, event.service, event.group, str(event.voluntary).lower())

    def _primary_changed(self, event: events.PrimaryChanged) -> None:
        candidate, now = _candidate(event), self._clock()
        if event.primary:
            since = self._leaderless_since.get(candidate)
            if since is not None:
                self._store.durations(table.GAP, event.service, event.group).record(now - since)
            if candidate in self._leaderless_since or len(self._leaderless_since) < _MOST_ELECTIONS:
                self._leaderless_since[candidate] = None
        elif self._leaderless_since.get(candidate, now) is None:
            # There was one before: the time before a group's first primary is nobody's gap.
            self._leaderless_since[candidate] = now

    def _candidacy_ended(self, event: events.CandidacyEnded) -> None:
        self._elected_at.pop(_candidate(event), None)
        self._leaderless_since.pop(_candidate(event), None)

    def _plainly(self, family: Family, labels: Callable[[Any], tuple[str, ...]]) -> Callable[[Any], object]:
        return lambda event: self._store.add(family, *labels(event))


def _outcome(event: events.CallFinished | events.RequestFinished) -> tuple[str, str]:
    """Status and error of a call: a declared exception is a status and no error."""
    return event.error or OK, "" if event.declared else event.error


def _method_of(event: events.RequestFinished | events.RequestRefused) -> str:
    return event.method if event.method == events.OTHER else f"{event.interface}/{event.method}"


def _candidate(event: events.ElectionEvent) -> tuple[str, str, str]:
    return event.service, event.group, event.instance


def _of_client(event: events.ClientEvent) -> tuple[str, ...]:
    return (event.target or event.service,)


def _of_server(event: events.ServerEvent) -> tuple[str, ...]:
    return (event.service,)


_COUNTED: dict[type[Event], tuple[Family, Callable[[Any], tuple[str, ...]]]] = {
    events.RetryBudgetExhausted: (table.CLIENT_BUDGET_EXHAUSTED, _of_client),
    events.MemberJoined: (table.MEMBERS_JOINED, _of_client),
    events.MemberLeft: (table.MEMBERS_LEFT, _of_client),
    events.BreakerOpened: (table.BREAKERS_OPENED, _of_client),
    events.MemberSpared: (table.MEMBERS_SPARED, _of_client),
    events.ConnectionOpened: (table.CLIENT_CONNECTIONS_OPENED, _of_client),
    events.ConnectionFailed: (table.CLIENT_CONNECTIONS_FAILED, _of_client),
    events.ConnectionClosed: (table.CLIENT_CONNECTIONS_CLOSED, lambda event: (*_of_client(event), event.reason)),
    events.PeerConnected: (table.SERVER_CONNECTIONS_OPENED, _of_server),
    events.PeerRefused: (table.SERVER_CONNECTIONS_REFUSED, _of_server),
    events.HandshakeFailed: (table.HANDSHAKES_FAILED, lambda event: (event.service, event.reason)),
    events.CertificateReloaded: (table.CERTIFICATES_RELOADED, lambda event: (event.service, event.side)),
    events.CertificateRejected: (table.CERTIFICATES_REJECTED, lambda event: (event.service, event.side)),
    events.DrainStarted: (table.DRAINS, _of_server),
    events.Registered: (table.REGISTRATIONS, lambda event: ()),
    events.RegistrationConflicted: (table.REGISTRATION_CONFLICTS, lambda event: ()),
    events.RegistrationFailed: (table.REGISTRATION_FAILURES, lambda event: (event.error,)),
}
"""Events that are one more of something: of what, and by which labels."""
