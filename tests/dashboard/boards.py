"""Boards to make pages of."""

from __future__ import annotations

from zkrpc.client.explanation import InstanceView, Probe, view_of
from zkrpc.dashboard.board import Board, Happening, ServiceBoard
from zkrpc.election.history import Term
from zkrpc.election.inspection import Complaint, GroupReport
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.inspection.changes import Change
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.offline import OfflineOrder

HOSTS = "zk1:2181,zk2:2181/prod"
NOW = 1_800_000_000.0


def instance(number: int, **fields: object) -> Instance:
    """One of many."""
    told = {"version": "1.2", "idl_digest": "a" * 64, "started_at": NOW - 500, "protocols": ("zkrpc",), **fields}
    return Instance(id=f"w{number}", endpoint=Endpoint("10.0.0.1", 7000 + number), **told)  # type: ignore[arg-type]


def view(of: Instance, failure: str = "") -> InstanceView:
    """What a probe has found."""
    found = Probe(connected_in=0.001, answered_in=None if failure else 0.0015, failure=failure)
    return view_of(of, found, wall_now=NOW)


PRIMARY = PrimaryRecord(epoch=7, instance="w1", endpoint=Endpoint("10.0.0.1", 7001))
TERMS = (
    Term(
        epoch=5, instance="w2", endpoint="10.0.0.1:7002", began_at=NOW - 90_000, ended_at=NOW - 60, reason="lease ended"
    ),
    Term(epoch=7, instance="w1", endpoint="10.0.0.1:7001", began_at=NOW - 60),
)
REPORT = GroupReport(
    group="main", epoch=7, primary=PRIMARY, heartbeat_age=0.5, candidates=("w1", "w2", "w3"), history=TERMS
)


def ledger(**fields: object) -> ServiceBoard:
    """A service of three with a primary."""
    members = tuple(instance(number) for number in (1, 2, 3))
    seen = ServiceOverview(service="ledger", instances=members, primaries={"main": PRIMARY})
    told = {"overview": seen, "elections": (REPORT,), "views": {one.id: view(one) for one in members}, **fields}
    return ServiceBoard(**told)  # type: ignore[arg-type]


def board(**services: ServiceBoard) -> Board:
    """A board of these services."""
    change = Change(service="ledger", kind="primary", subject="main", detail="is w1, epoch 7")
    return Board(zookeeper=HOSTS, services=services, happenings=(Happening(at=NOW - 60, change=change),))


def offline(number: int = 2) -> OfflineOrder:
    """An order for one."""
    return OfflineOrder(reason=f"disk {number} is full", by="ann@desk", since=NOW - 30)


COMPLAINT = Complaint(instance="w3", why="on_elected raised OSError", times=4, age=3.0)
