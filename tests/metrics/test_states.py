"""States become gauges."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.telemetry.test_status import make
from zkrpc.metrics import table
from zkrpc.metrics.states import Gauges
from zkrpc.telemetry.status import (
    AppStatus,
    ClientStatus,
    ElectionStatus,
    MemberStatus,
    RegistrationStatus,
    SessionStatus,
    TracingStatus,
)


def gauges_of(*statuses: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """The gauges by their names."""
    gauges = Gauges()
    gauges.receive(statuses)
    return {family.name: series for family, series in gauges.series.items()}


def member(**fields: Any) -> MemberStatus:
    """One instance that is well, but for these fields."""
    well = {"connectivity": "ready", "standing": "well", "breaker": "closed", "is_kept": False, "in_flight": 0}
    found: MemberStatus = dataclasses.replace(make(MemberStatus), **{**well, **fields})
    return found


def client(*members: MemberStatus, **fields: Any) -> ClientStatus:
    """A client of users that knows these instances."""
    found: ClientStatus = dataclasses.replace(make(ClientStatus), target="t", members=members, **fields)
    return found


def app(state: str = "serving", registered: bool = True) -> AppStatus:
    """A service whose server and registration stand so."""
    made: AppStatus = make(AppStatus)
    server = dataclasses.replace(made.server, state=state, running=3, limit=10)
    registration = dataclasses.replace(make(RegistrationStatus), registered=registered, conflict=None, failure=None)
    health = dataclasses.replace(made.health, ready=state == "serving" and registered)
    parts = {"health": health, "server": server, "registration": registration, "elections": ()}
    return dataclasses.replace(made, service="users", **parts)


def test_client_is_summed_up_over_its_instances() -> None:
    """By the state of the way to them, and by what speaks against them; those in limbo, too."""
    found = gauges_of(
        client(
            member(in_flight=2),
            member(in_flight=3, breaker="open"),
            member(connectivity="transient_failure", standing="down", is_picked=False),
            member(is_kept=True, breaker="probing"),
            connections=3,
            retry_tokens=7.5,
        )
    )
    assert found["zkrpc_client_members"] == {("t", "ready"): 3.0, ("t", "transient_failure"): 1.0}
    names = ("members_down", "members_picked", "members_kept", "breakers_open", "calls_in_flight", "connections")
    assert [found[f"zkrpc_client_{name}"]["t",] for name in names] == [1.0, 3.0, 1.0, 2.0, 5.0, 3.0]
    assert found["zkrpc_client_retry_budget_tokens"] == {("t",): 7.5}


def test_clients_of_one_target_are_one() -> None:
    """What they have is added up; of what they have left, the least counts."""
    found = gauges_of(client(connections=3, retry_tokens=7.5), client(connections=2, retry_tokens=1.0))
    assert found["zkrpc_client_connections"] == {("t",): 5.0}
    assert found["zkrpc_client_retry_budget_tokens"] == {("t",): 1.0}


def test_server_tells_of_its_state_and_its_load() -> None:
    """One of the states is 1; it is ready as its health says."""
    found = gauges_of(app())
    assert found["zkrpc_server_state"]["users", "serving"] == 1.0 and sum(found["zkrpc_server_state"].values()) == 1.0
    assert found["zkrpc_server_requests_running"] == {("users",): 3.0}
    assert found["zkrpc_server_concurrency_limit"] == {("users",): 10.0}
    assert found["zkrpc_server_ready"] == found["zkrpc_registered"] == {("users",): 1.0}
    assert gauges_of(app("draining"))["zkrpc_server_ready"] == {("users",): 0.0}
    lost = gauges_of(app(registered=False))
    assert lost["zkrpc_server_ready"] == lost["zkrpc_registered"] == {("users",): 0.0}


def test_election_tells_who_leads_and_for_how_long() -> None:
    """The epoch is the primary's, its own or another's; a lease of nobody has nothing left."""
    base: ElectionStatus = dataclasses.replace(make(ElectionStatus), service="ledger", group="main")
    leading = dataclasses.replace(base, state="primary", epoch=7, lease_left=3.0, primary="w1", primary_epoch=7)
    following = dataclasses.replace(
        base, state="waiting", epoch=None, lease_left=None, primary="w2", primary_epoch=8, running=0
    )
    alone = dataclasses.replace(following, primary=None, primary_epoch=None)
    for status, expected in ((leading, (1, 1, 3, 7)), (following, (0, 1, 0, 8)), (alone, (0, 0, 0, None))):
        found = gauges_of(dataclasses.replace(app(), elections=(status,)))
        names = ("is_primary", "has_primary", "lease_left_seconds", "epoch")
        values = [found.get(f"zkrpc_election_{name}", {}).get(("ledger", "main")) for name in names]
        assert tuple(values) == expected


def test_session_tells_of_its_state_and_its_age() -> None:
    """Of two sessions with one ensemble the one that is worse off counts."""
    base: SessionStatus = dataclasses.replace(make(SessionStatus), hosts="h", state="connected", heard=1.0, timeout=6.0)
    new = dataclasses.replace(base, state="connecting", heard=None, timeout=None)
    found = gauges_of(base, dataclasses.replace(base, heard=2.0, timeout=4.0), new)
    assert found["zkrpc_zookeeper_last_contact_age_seconds"] == {("h",): 2.0}
    assert found["zkrpc_zookeeper_session_timeout_seconds"] == {("h",): 4.0}
    states = found["zkrpc_zookeeper_session_state"]
    assert (states["h", "connected"], states["h", "connecting"], states["h", "lost"]) == (1.0, 1.0, 0.0)
    assert "zkrpc_zookeeper_last_contact_age_seconds" not in gauges_of(new)


def test_tracing_tells_what_became_of_its_spans() -> None:
    """What was handed over, and what was lost on either side of that."""
    found = gauges_of(TracingStatus(exporting=True, spans=3, dropped=2, lost=1))
    assert found["zkrpc_trace_spans"] == {("sent",): 3, ("dropped",): 2, ("lost",): 1}


def test_labels_of_gauges_are_bounded_too() -> None:
    """By whoever counts the values of labels."""
    gauges = Gauges(lambda family, labels: ("_OTHER",) * len(labels))
    gauges.put(table.CLIENT_CONNECTIONS, "one", value=1.0)
    gauges.put(table.CLIENT_CONNECTIONS, "other", value=2.0)
    assert gauges.series == {table.CLIENT_CONNECTIONS: {("_OTHER",): 3.0}} and "1 metrics" in repr(gauges)
