"""The facts about a real ZooKeeper."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
import time
from pathlib import Path

import pytest

import zkrpc
from tests.support.waiting import eventually
from zkrpc.dev.jars import find_jars
from zkrpc.dev.java import find_java
from zkrpc.dev.node import ServerNode
from zkrpc.dev.zookeeper import DevZooKeeper, free_ports
from zkrpc.endpoint import Endpoint
from zkrpc.inspection.checks import judge
from zkrpc.inspection.gathering import ask_server, gather
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.publication import Publication, pack
from zkrpc.registry.schema import Paths, idl_path

PLACE = Endpoint("10.0.0.1", 2181)
PATHS = Paths("users")


def test_server_that_is_silent_or_not_there_costs_a_bounded_time() -> None:
    """The one accepts connections, the other does not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = Endpoint("127.0.0.1", listener.getsockname()[1])
        assert ask_server(place, 0.2).reachable
    told = ask_server(place, 0.2)
    assert not told.reachable and told.version is None


@pytest.mark.zookeeper
def test_facts_of_a_real_ensemble_and_its_services(zookeeper: str) -> None:
    """Whatever there is: a config that clients refuse, a candidate, the sizes of lists."""
    with zkrpc.Registry(zookeeper) as registry:
        assert registry.session.wait_connected(60)
        znodes = registry.session.znodes
        znodes.ensure_path(PATHS.members)
        znodes.ensure_path(f"{PATHS.election('main')}/candidates")
        one = zkrpc.Instance(id="w", endpoint=PLACE)
        znodes.create(PATHS.member("w"), dump_serverset(one), ephemeral=True)
        znodes.create(f"{PATHS.election('main')}/candidates/w.u-0000000001", ephemeral=True)
        znodes.create(PATHS.config, b'{"timeout": 1}')
        facts = gather(registry, ["users"], 60)
        znodes.set(PATHS.config, b'{"methods": {"gte": {"timeout_ms": 1}}}')
        unjudged = gather(registry, ["users"], 60)
        text = "service Users { void get() }"
        said = Publication(interface="Users", digest=hashlib.sha256(text.encode()).hexdigest())
        znodes.ensure_path("/idl")
        znodes.create(idl_path(said.digest), pack(text))
        znodes.set(
            PATHS.member("w"),
            dump_serverset(dataclasses.replace(one, interface=said.interface, idl_digest=said.digest)),
        )
        judged = gather(registry, ["users"], 60)
    assert unjudged.services[0].unknown_names == ()
    assert judged.services[0].unknown_names == ("methods.gte: Users has no method 'gte'; did you mean get?",)
    (server,) = facts.servers
    assert server.most_connections is None and server.connections is None and not server.figures
    assert server.mode == "standalone" and server.version is not None and server.version.startswith("3.")
    assert facts.timeout_granted and facts.newest_write is not None and abs(facts.newest_write - time.time()) < 3600
    (told,) = facts.services
    assert told.seen.instances == (one,) and told.candidates == ("w",) and "unknown key" in told.config_refusal
    assert dict(told.sizes)[PATHS.members] == len("member_w") + 4


@pytest.mark.zookeeper
def test_server_that_may_tell_tells_limits_connections_and_figures(tmp_path: Path) -> None:
    """With ``4lw.commands.whitelist=*``, as some set it; a session of ours is one of the connections."""
    (port,) = free_ports(1)
    settings = f"clientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\nadmin.enableServer=false\n"
    node = ServerNode(
        tmp_path,
        port,
        f"{settings}maxClientCnxns=7\n4lw.commands.whitelist=*\n",
        number=1,
        java=find_java(),
        jars=find_jars(),
    )
    node.start()
    try:
        eventually(lambda: node.mode() is not None)
        with zkrpc.Registry(f"127.0.0.1:{port}") as registry:
            assert registry.session.wait_connected(60)
            facts = gather(registry, [], 60)
    finally:
        node.kill()
    (server,) = facts.servers
    assert server.most_connections == 7 and server.connections is not None and server.connections["127.0.0.1"] >= 1
    assert server.figures["znode_count"] > 0 and "data_log_size" in server.figures
    names = {verdict.check.name for verdict in judge(facts) if verdict.unknown}
    assert not names & {"zookeeper-connections", "zookeeper-load", "zookeeper-observers"}


@pytest.mark.zookeeper
def test_access_is_judged_by_who_we_are(zookeeper: str) -> None:
    """Nodes that one identity has made: it may do everything, another password of its name may not, and who has no
    credentials does not know."""
    owner = zkrpc.RegistryConfig(security=zkrpc.ZooKeeperSecurity(username="ops", password="secret"))
    with zkrpc.Registry(f"{zookeeper}/kept", config=owner) as registry:
        assert registry.session.wait_connected(60)
        registry.session.ensure_path(PATHS.members)
        assert access_of(registry) == ([], "")
        for config, finding, reason in (
            (
                zkrpc.RegistryConfig(security=zkrpc.ZooKeeperSecurity(username="ops", password="wrong")),
                "digest ops with another password may",
                "",
            ),
            (zkrpc.RegistryConfig(), "", "for digest ops to change, and we have no credentials"),
        ):
            with zkrpc.Registry(f"{zookeeper}/kept", config=config) as other:
                assert other.session.wait_connected(60)
                findings, unknown = access_of(other)
                assert all(finding in one for one in findings) and bool(findings) == bool(finding), findings
                assert reason in unknown and bool(unknown) == bool(reason)


@pytest.mark.zookeeper
def test_servers_are_asked_in_tls_where_sessions_are(secured_zookeeper: DevZooKeeper) -> None:
    """And judged as others are; what those may do who are known by a certificate and a password is known."""
    assert secured_zookeeper.security is not None
    config = zkrpc.RegistryConfig(security=secured_zookeeper.security.client)
    with zkrpc.Registry(f"{secured_zookeeper.hosts}/asked", config=config) as registry:
        assert registry.session.wait_connected(60)
        registry.session.znodes.ensure_path(PATHS.members)
        facts = gather(registry, ["users"], 60)
        (server,) = facts.servers
        assert server.reachable and server.mode == "standalone"
        assert {str(one) for one in facts.access.identities} >= {"sasl dev", "x509 CN=dev"}
        assert access_of(registry) == ([], "")


def access_of(registry: zkrpc.Registry) -> tuple[list[str], str]:
    """What is found to be wrong with access lists, and what is not known of them."""
    verdicts = [
        verdict for verdict in judge(gather(registry, ["users"], 60)) if verdict.check.name.startswith("access")
    ]
    return [one for verdict in verdicts for one in verdict.findings], "".join(verdict.unknown for verdict in verdicts)
