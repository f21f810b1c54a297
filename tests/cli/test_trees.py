"""Commands that look at members take trees of other libraries as well."""

from __future__ import annotations

import json

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually

pytestmark = pytest.mark.zookeeper

TREE = "serverset:/aurora/role/prod/job"
IDL = "--idl=tests/support/echo.thrift"


def test_commands_look_at_trees_of_other_libraries(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Who is there, what may be called and whether it answers; there are no primaries and no config. The weight is the
    one that counts."""
    znodes = registry.session.znodes
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))
    with zkrpc.serve(service, zookeeper=registry, worker_id="w", join=[TREE]) as app:
        eventually(lambda: all(one.registered for one in app.status().joined))
        vector = {"vector": [{"select": "member=member_w", "weight": 2.5}]}
        znodes.create("/aurora/role/prod/job/vector_1", json.dumps(vector).encode())
        znodes.create("/aurora/role/prod/job/member_bad", b"{}")
        status, table = command.run("ls", TREE, "--zookeeper", zookeeper)
        assert status == 0 and f"\n{TREE}: 1 instance, 1 record cannot be read\n" in table
        assert str(app.endpoint) in table and "1 bad records below /aurora/role/prod/job are left out" in table
        znodes.delete("/aurora/role/prod/job/member_bad")
        status, text = command.run("explain", TREE, "echo", IDL, "--zookeeper", zookeeper, "--json")
        told = json.loads(text)
        (one,) = told["instances"]
        assert (status, one["weight"], one["picked"]) == (0, 2.5, True) and one["answered_in"] is not None
        assert told["notes"][0] == "other libraries' trees have no config, and no primaries"
        status, text = command.run("describe", TREE, IDL, "--zookeeper", zookeeper, "--json")
        told = json.loads(text)
        assert (status, told["service"], told["primaries"], "echo" in told["methods"]) == (0, TREE, {}, True)
        status, text = command.run("call", f"{TREE}.echo", '{"text": "x"}', IDL, "--zookeeper", zookeeper)
        assert (status, json.loads(text)) == (0, "x")
        assert command.run("health", TREE, "--zookeeper", zookeeper)[0] == 0
        status, text = command.run("watch", TREE, "--for=0.2", "--json", "--zookeeper", zookeeper)
        assert status == 0 and list(json.loads(text.splitlines()[0])["services"]) == [TREE]


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["ls", "/nothing/here"], 1, "there is nothing at /nothing/here in the ZooKeeper at "),
        (["ls", "etcd:/job"], 78, "begins with a path, or with serverset: or curator:"),
        (["call", "/services.get"], 2, "no IDL is published in a tree of another library's; give it with --idl FILE"),
    ],
)
def test_tree_that_is_not_there_is_told_in_a_line(
    arguments: list[str], status: int, reason: str, command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """With what to do."""
    registry.session.znodes.ensure_path("/services")
    ended, text = command.run(*arguments, "--zookeeper", zookeeper)
    assert ended == status and reason in " ".join(text.split())
