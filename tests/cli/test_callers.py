"""``zkrpc ls --callers``: who calls a service, for people and for programs."""

from __future__ import annotations

import json

import pytest

import zkrpc
from examples.users import idl
from tests.support.command import Command, await_registered
from zkrpc.registry.formats import dump_serverset

pytestmark = pytest.mark.zookeeper


def test_ls_tells_who_calls_a_service(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Summed over its workers, with each method; and which instance does not tell."""
    command.serve(zookeeper, "--id=pair", "--workers=2")
    await_registered(registry, 2)
    config = zkrpc.ClientConfig(name="billing", version="4.2", balancing="round_robin", timeout=60)
    with zkrpc.connect(idl.Users, "users", zookeeper=registry, config=config) as stub:
        for _ in range(10):
            with pytest.raises(idl.UserNotFound):
                stub.get(404)
    status, output = command.run("ls", "users", "--callers", "--json", "--zookeeper", zookeeper)
    told = json.loads(output)
    assert status == 0 and len(told["answered"]) == 2 and told["silent"] == {}
    (billing,) = told["callers"]
    assert (billing["name"], billing["version"], billing["calls"], billing["errors"]) == ("billing", "4.2", 10, 0)
    assert billing["instances"] == 2 and billing["methods"][0]["method"] == "get"
    gone = zkrpc.Instance(id="gone", endpoint=zkrpc.Endpoint("127.0.0.1", 1), protocols=("zkrpc",))
    registry.session.znodes.create("/services/users/members/member_gone", dump_serverset(gone), ephemeral=True)
    status, table = command.run("ls", "users", "--callers", "--zookeeper", zookeeper)
    lines = table.splitlines()
    assert status == 0 and lines[0].startswith("users: 2 of 3 instances tell, since ")
    assert lines[1].startswith("  gone does not: ") and lines[2].split()[:3] == ["CALLER", "VERSION", "CALLS"]
    assert lines[3].split()[:4] == ["billing", "4.2", "10", "0"] and lines[4].split()[:2] == ["get", "10"]


def test_ls_says_when_nobody_tells(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """No instance answers (1); there is none (0); no service was named (2); ZooKeeper is away (1)."""
    registry.session.znodes.ensure_path("/services/users/members")
    ended = command.run("ls", "users", "--callers", "--zookeeper", zookeeper)
    assert ended == (0, "users: 0 of 0 instances tell\n  nobody has called\n")
    gone = zkrpc.Instance(id="gone", endpoint=zkrpc.Endpoint("127.0.0.1", 1), protocols=("zkrpc",))
    registry.session.znodes.create("/services/users/members/member_gone", dump_serverset(gone), ephemeral=True)
    status, output = command.run("ls", "users", "--callers", "--zookeeper", zookeeper)
    assert status == 1 and "none of the 1 instances of users tells who calls it: gone: " in output
    status, output = command.run("ls", "--callers", "--zookeeper", zookeeper)
    assert status == 2 and "--callers wants a SERVICE" in output
    status, output = command.run("ls", "users", "--callers", "--zookeeper=127.0.0.1:1", "--timeout=0.3")
    assert status == 1 and "no ZooKeeper at 127.0.0.1:1" in output and len(output.splitlines()) == 1
