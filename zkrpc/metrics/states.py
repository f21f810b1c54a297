"""From states, as they are when somebody asks, to gauges. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zkrpc.metrics import table
from zkrpc.metrics.store import Labels
from zkrpc.metrics.table import Family
from zkrpc.telemetry.status import AppStatus, ClientStatus, ElectionStatus, SessionStatus, Status, TracingStatus

SERVER_STATES = ("starting", "serving", "draining", "stopped")
SESSION_STATES = ("connecting", "connected", "suspended", "lost", "closed")

_MERGES: dict[str, Callable[[float, float], float]] = {"sum": lambda one, other: one + other, "max": max, "min": min}

Bound = Callable[[Family, Labels], Labels]
"""Keeps the values of labels within their number."""


class Gauges:
    """The gauges of one moment. ``bound`` keeps the values of labels within their number."""

    def __init__(self, bound: Bound = lambda family, labels: labels) -> None:
        self._bound = bound
        self.series: dict[Family, dict[Labels, float]] = {}
        """What was taken in so far."""

    def __repr__(self) -> str:
        """How many metrics there are."""
        return f"<Gauges of {len(self.series)} metrics>"

    def put(self, family: Family, *labels: str, value: float) -> None:
        """Takes in a value; with another one for the same labels, the two are merged as the metric says."""
        series, key = self.series.setdefault(family, {}), self._bound(family, labels)
        series[key] = _MERGES[family.merge](series[key], value) if key in series else value

    def receive(self, statuses: Iterable[Status]) -> None:
        """Takes in how everything stands."""
        for status in statuses:
            if isinstance(status, AppStatus):
                self._receive_app(status)
            elif isinstance(status, ClientStatus):
                self._receive_client(status)
            elif isinstance(status, SessionStatus):
                self._receive_session(status)
            else:
                self._receive_tracing(status)

    def _receive_app(self, app: AppStatus) -> None:
        server, name, put = app.server, app.service, self.put
        for state in SERVER_STATES:
            put(table.SERVER_STATE, name, state, value=float(state == server.state))
        put(table.SERVER_READY, name, value=float(app.health.ready))
        put(table.SERVER_RUNNING, name, value=server.running)
        put(table.SERVER_LIMIT, name, value=server.limit)
        put(table.SERVER_MOST, name, value=server.max_concurrent)
        put(table.SERVER_QUEUED, name, value=server.queued)
        put(table.SERVER_QUEUE, name, value=server.max_queue)
        put(table.SERVER_TASKS, name, value=server.tasks)
        put(table.SERVER_OFFLOADED, name, value=server.offload_running)
        put(table.SERVER_THREADS, name, value=server.offload_threads)
        put(table.SERVER_OFFLOAD_QUEUED, name, value=server.offload_queued)
        put(table.SERVER_OFFLOAD_QUEUE, name, value=server.offload_queue)
        put(table.SERVER_BUFFERED, name, value=server.buffered)
        put(table.SERVER_MOST_BUFFERED, name, value=server.max_buffered)
        put(table.SERVER_CONNECTIONS, name, value=server.connections)
        put(table.SERVER_MOST_CONNECTIONS, name, value=server.max_connections)
        if server.certificate_expires_at is not None:
            put(table.CERTIFICATE_EXPIRES, name, "server", value=server.certificate_expires_at)
        if app.registration is not None:
            put(table.REGISTERED, name, value=float(app.registration.registered))
        for election in app.elections:
            self._receive_election(election)

    def _receive_election(self, election: ElectionStatus) -> None:
        labels, put = (election.service, election.group), self.put
        put(table.IS_PRIMARY, *labels, value=float(election.state == "primary"))
        put(table.HAS_PRIMARY, *labels, value=float(election.primary is not None))
        put(table.LEASE_LEFT, *labels, value=max(0.0, election.lease_left or 0.0))
        put(table.PRIMARY_CALLS, *labels, value=election.running)
        epoch = election.primary_epoch if election.epoch is None else election.epoch
        if epoch is not None:
            put(table.EPOCH, *labels, value=epoch)

    def _receive_session(self, session: SessionStatus) -> None:
        for state in SESSION_STATES:
            self.put(table.SESSION_STATE, session.hosts, state, value=float(state == session.state))
        self.put(table.HISTORIES, session.hosts, value=session.histories)
        if session.heard is not None:
            self.put(table.SESSION_CONTACT, session.hosts, value=session.heard)
        if session.timeout is not None:
            self.put(table.SESSION_TIMEOUT, session.hosts, value=session.timeout)

    def _receive_tracing(self, tracing: TracingStatus) -> None:
        for outcome, count in (("sent", tracing.spans), ("dropped", tracing.dropped), ("lost", tracing.lost)):
            self.put(table.SPANS, outcome, value=count)

    def _receive_client(self, client: ClientStatus) -> None:
        where, members, put = client.target or client.service, client.members, self.put
        put(table.CLIENT_CONNECTIONS, where, value=client.connections)
        put(table.CLIENT_BUDGET, where, value=client.retry_tokens)
        put(table.CLIENT_IN_FLIGHT, where, value=sum(one.in_flight for one in members))
        put(table.MEMBERS_DOWN, where, value=sum(one.standing == "down" for one in members))
        put(table.MEMBERS_PICKED, where, value=sum(one.is_picked for one in members))
        put(table.MEMBERS_KEPT, where, value=sum(one.is_kept for one in members))
        put(table.BREAKERS_OPEN, where, value=sum(one.breaker != "closed" for one in members))
        if client.certificate_expires_at is not None:
            put(table.CERTIFICATE_EXPIRES, client.service, "client", value=client.certificate_expires_at)
        for member in members:
            put(table.MEMBERS, where, member.connectivity, value=1.0)
