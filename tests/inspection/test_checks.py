"""What is found to be wrong, from facts alone."""

from __future__ import annotations

import dataclasses

import pytest

from zkrpc.config import MethodConfig, ServiceConfig
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.inspection.checks import CHECKS, Facts, ServiceFacts, judge
from zkrpc.inspection.gathering import size_of_names
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.rights import AccessFacts, NodeAccess
from zkrpc.inspection.servers import ServerFacts
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.offline import OfflineOrder
from zkrpc.zookeeper.access import ANYONE, CHANGING, Grant, Right, user
from zkrpc.zookeeper.ensemble import Member


def server(number: int, version: str | None = "3.9.2", mode: str | None = "follower", **fields: object) -> ServerFacts:
    """A server of the ensemble, which tells everything if it tells its version."""
    place = Endpoint(f"10.0.0.{number}", 2181)
    told = {"most_connections": 60, "connections": {"10.1.0.1": 3}, "figures": {"znode_count": 9.0}} if version else {}
    return ServerFacts(endpoint=place, version=version, mode=mode, **{**told, **fields})  # type: ignore[arg-type]


def node(path: str, *grants: Grant) -> NodeAccess:
    """A node that has to be read and created in."""
    return NodeAccess(path=path, needed=Right.READ | Right.CREATE, grants=grants)


def instance(name: str, host: str = "10.0.1.1", **fields: str) -> Instance:
    """An instance of that name."""
    return Instance(id=name, endpoint=Endpoint(host, 1), **fields)  # type: ignore[arg-type]


def service(*instances: Instance, config: ServiceConfig = ServiceConfig(), **fields: object) -> ServiceFacts:
    """The service ``users`` with these instances."""
    seen = ServiceOverview(service="users", instances=instances, **fields)  # type: ignore[arg-type]
    return ServiceFacts(seen=seen, config=config)


A, B = instance("a", version="1", idl_digest="x" * 64), instance("b", version="1", idl_digest="x" * 64)
ALL = CHANGING | Right.READ
US = user("ops", "secret")
OURS, OTHERS = (node(path, Grant(user(name, "secret"), ALL)) for path, name in (("/a", "ops"), ("/b", "svc")))
LEADER = PrimaryRecord(epoch=1, instance="a", endpoint=A.endpoint)
GOOD = Facts(
    servers=(server(1), server(2, mode="leader"), server(3)),
    timeout_asked=6.0,
    timeout_granted=6.0,
    newest_write=100.0,
    wall_now=101.0,
    services=(service(A, B, primaries={"main": LEADER}),),
)


def with_nodes(*nodes: NodeAccess) -> Facts:
    """Good facts but for these nodes, and our credentials."""
    return dataclasses.replace(GOOD, access=AccessFacts(identities=(US,), has_credentials=True, nodes=nodes))


def with_service(*instances: Instance, **fields: object) -> Facts:
    """Good facts but for the service."""
    return dataclasses.replace(GOOD, services=(service(*instances, **fields),))  # type: ignore[arg-type]


def with_config(**fields: object) -> Facts:
    """Good facts but for the service's config."""
    return with_service(A, config=ServiceConfig(**fields))  # type: ignore[arg-type]


def test_nothing_is_wrong_with_what_is_well() -> None:
    """And every check knows."""
    assert [verdict for verdict in judge(GOOD) if verdict.findings or verdict.unknown] == []


@pytest.mark.parametrize(
    ("facts", "check", "finding"),
    [
        (dataclasses.replace(GOOD, servers=(server(1, mode="leader"),)), "zookeeper-size", "names one server"),
        (dataclasses.replace(GOOD, servers=(server(1), server(2, mode="leader"))), "zookeeper-size", "2 servers"),
        (
            dataclasses.replace(GOOD, servers=(*GOOD.servers[:2], server(3, None, None, reachable=False))),
            "zookeeper-reachable",
            "10.0.0.3:2181 accepts no connections",
        ),
        (
            dataclasses.replace(
                GOOD, servers=tuple(dataclasses.replace(one, version="3.4.14") for one in GOOD.servers)
            ),
            "zookeeper-version",
            "10.0.0.1:2181 is ZooKeeper 3.4.14",
        ),
        (
            dataclasses.replace(GOOD, servers=(*GOOD.servers[:2], server(3, "3.8.4"))),
            "zookeeper-versions-mixed",
            "3.8.4, 3.9.2",
        ),
        (dataclasses.replace(GOOD, servers=(server(1), server(2), server(3))), "zookeeper-leader", "no server leads"),
        (
            dataclasses.replace(GOOD, servers=tuple(server(number, mode="leader") for number in (1, 2, 3))),
            "zookeeper-leader",
            "3 servers lead",
        ),
        (
            dataclasses.replace(GOOD, members=(Member(endpoint=A.endpoint), Member(endpoint=B.endpoint, votes=False))),
            "zookeeper-size",
            "one server votes",
        ),
        (
            dataclasses.replace(GOOD, servers=tuple(server(number, mode="observer") for number in (1, 2, 3))),
            "zookeeper-observers",
            "names observers only",
        ),
        (
            dataclasses.replace(GOOD, others=(server(4, connections={"10.1.0.1": 60}),)),
            "zookeeper-connections",
            "10.1.0.1 has 60 of the 60 connections that 10.0.0.4:2181 allows",
        ),
        (
            dataclasses.replace(GOOD, others=(server(4, figures={"outstanding_requests": 1000.0}),)),
            "zookeeper-load",
            "10.0.0.4:2181: 1000 requests wait",
        ),
        (dataclasses.replace(GOOD, others=(server(4, admin="8.8.8.8"),)), "zookeeper-admin", "answers anybody"),
        (with_nodes(OURS, node("/c", Grant(US, Right.READ))), "access", "/c: as digest ops we may not create"),
        (with_nodes(OURS, node("/c", Grant(ANYONE, ALL))), "access-open", "anyone may change /c"),
        (
            dataclasses.replace(with_nodes(OURS, dataclasses.replace(OTHERS, needed=Right(0)))),
            "access-owners",
            "digest ops: /a; digest svc: /b",
        ),
        (dataclasses.replace(GOOD, timeout_granted=8.0), "session-timeout", "get 8 s, by minSessionTimeout"),
        (dataclasses.replace(GOOD, timeout_granted=2.0), "session-timeout", "get 2 s, by maxSessionTimeout"),
        (dataclasses.replace(GOOD, newest_write=160.0), "clock", "at least 59 s ahead"),
        (with_service(), "service-empty", "users has no instance that serves"),
        (with_service(instance("a", unready="no database")), "instance-ready", "a of users is not ready: no database"),
        (with_service(A, skipped=2), "records", "users has 2 records that clients leave out"),
        (with_service(A, instance("b", idl_digest="y" * 64)), "idl-mixed", "xxxxxxxxxxxx x1, yyyyyyyyyyyy x1"),
        (with_service(A, instance("b", version="2")), "versions-mixed", "different versions: 1 x1, 2 x1"),
        (with_service(A, instance("b", "127.0.0.1")), "loopback", "only their own machine can reach: b"),
        (with_service(A, primaries={"main": None, "west": LEADER}), "primary", "nobody leads main of users"),
        (
            dataclasses.replace(GOOD, services=(dataclasses.replace(service(A), candidates=("a", "ghost")),)),
            "candidates",
            "candidates that are no instances: ghost",
        ),
        (with_service(A, orders={"gone": OfflineOrder()}), "offline", "gone of users is kept offline"),
        (
            dataclasses.replace(GOOD, services=(dataclasses.replace(service(A), config_refusal="unknown key"),)),
            "config-refused",
            "clients of users refuse its config: unknown key",
        ),
        (
            dataclasses.replace(GOOD, services=(dataclasses.replace(service(A), unknown_names=("methods.gte: no",)),)),
            "config-names",
            "the config of users has methods.gte: no",
        ),
        (with_config(idempotent=True), "config-retries", "calls every method idempotent"),
        (
            with_config(methods={"put": MethodConfig(hedge=0.1, idempotent=False)}),
            "config-hedges",
            "users.put is hedged",
        ),
        (with_config(timeout=90.0), "config-timeouts", "users has a timeout of 90 s"),
        (
            dataclasses.replace(GOOD, services=(dataclasses.replace(service(A), sizes=(("/p", 700_000),)),)),
            "node-sizes",
            "/p takes 683 KiB",
        ),
    ],
)
def test_each_fault_is_found_by_its_check_alone(facts: Facts, check: str, finding: str) -> None:
    """With what is wrong and where; nothing else is."""
    found = {verdict.check.name: verdict.findings for verdict in judge(facts) if verdict.findings}
    assert found.keys() == {check} and len(found[check]) >= 1 and finding in found[check][0]


def test_check_without_facts_does_not_know() -> None:
    """A server that answers no four-letter words is not a broken one."""
    silent = tuple(server(number, None, None) for number in (1, 2, 3))
    theirs = AccessFacts(nodes=(node("/a", Grant(US, ALL), Grant(ANYONE, Right.READ)),))
    facts = dataclasses.replace(GOOD, servers=silent, access=theirs, timeout_granted=None, newest_write=None)
    verdicts = judge(facts)
    assert not any(verdict.findings for verdict in verdicts)
    assert {verdict.check.name for verdict in verdicts if verdict.unknown} == {
        "zookeeper-version",
        "zookeeper-versions-mixed",
        "zookeeper-leader",
        "zookeeper-observers",
        "zookeeper-connections",
        "zookeeper-load",
        "access",
        "session-timeout",
        "clock",
    }


def test_every_check_has_a_name_of_its_own_and_a_remedy() -> None:
    """The names are what programs and runbooks go by."""
    assert len({check.name for check in CHECKS}) == len(CHECKS) >= 12
    assert all(check.remedy and check.looks_at.startswith(("whether", "how")) for check in CHECKS)
    assert size_of_names(["a" * 10, "b"]) == 19
