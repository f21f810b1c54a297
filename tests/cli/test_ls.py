"""``zkrpc ls``: what is registered, for people and for programs."""

from __future__ import annotations

import json
import re

import pytest

import zkrpc
from tests.support.command import Command, await_registered
from tests.support.echo import EchoHandler, idl
from zkrpc.client.resolver import DIALECTS
from zkrpc.idl import load_text
from zkrpc.registry.formats import PrimaryRecord, dump_serverset
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper


def test_ls_lists_the_workers_of_a_service(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """``zkrpc serve --workers 3`` registers three, each with its own port and process."""
    command.serve(zookeeper, "--id=trio", "--workers=3", "--zone=z1")
    found = await_registered(registry, 3)
    (listed,) = command.list(zookeeper).items()
    assert listed[0] == "users"
    assert [(one["id"], one["endpoint"], one["metadata"]["pid"], one["zone"]) for one in listed[1]] == [
        (name, str(one.endpoint), one.metadata["pid"], "z1") for name, one in sorted(found.items())
    ]
    assert len({one["endpoint"] for one in listed[1]}) == len({one["metadata"]["pid"] for one in listed[1]}) == 3
    status, table = command.run("ls", "users", ZKRPC_ZOOKEEPER=zookeeper)
    head, columns, *rows = table.splitlines()
    assert (status, head) == (0, "users: 3 instances") and columns.split()[:3] == ["INSTANCE", "ENDPOINT", "STATE"]
    assert [row.split()[:3] for row in rows] == [
        [name, str(one.endpoint), "serves"] for name, one in sorted(found.items())
    ]
    status, table = command.run("ls", ZKRPC_ZOOKEEPER=zookeeper)
    (digest,) = {one.idl_digest for one in found.values()}
    assert table.splitlines()[1].split() == [
        *("users", "3", "-", "-", digest[:8], "Users", "zkrpc", "theader", "framed", "binary", "compact")
    ]


def test_ls_lists_every_service(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Without a name all are listed; one that nobody serves any more has no instances."""
    assert command.run("ls", "--zookeeper", zookeeper) == (0, "")
    registry.session.znodes.ensure_path("/services/ghosts/members")
    assert command.list(zookeeper, "ghosts") == {"ghosts": []}
    registry.session.znodes.delete("/services/ghosts/members")
    registry.session.znodes.delete("/services/ghosts")
    with zkrpc.serve(
        zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0)), zookeeper=registry
    ) as app:
        assert app.registrar is not None
        app.registrar.wait_registered(60)
        status, table = command.run("ls", "--zookeeper", zookeeper)
    assert status == 0 and table.splitlines()[1].split()[:2] == ["echo", "1"]


def test_ls_and_explain_show_what_each_instance_serves_and_speaks(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """All of its services and dialects for programs; for people without the variants of a dialect. Records of others
    say nothing."""
    two = load_text("service Base {} service Users extends Base { void a() } service Audit { void b() }")
    config = zkrpc.ServerConfig(linger=0)

    class Handler:
        def a(self) -> None: ...

        def b(self) -> None: ...

    with zkrpc.serve(
        zkrpc.Service([two.Users, two.Audit], Handler, config=config), zookeeper=registry, worker_id="w"
    ) as app:
        assert app.registrar is not None
        app.registrar.wait_registered(20)
        plain = zkrpc.Instance(id="foreign", endpoint=zkrpc.Endpoint("127.0.0.1", 7))
        registry.session.znodes.create("/services/users/members/member_foreign", dump_serverset(plain), ephemeral=True)
        foreign, ours = command.list(zookeeper, "users")["users"]
        assert (ours["services"], ours["also"]) == (["Users", "Audit", "Base"], {"Audit": two.Audit.digest})
        assert ours["protocols"] == list(DIALECTS)
        assert (foreign["services"], foreign["also"], foreign["protocols"]) == ([], {}, [])
        status, table = command.run("ls", "users", "--zookeeper", zookeeper)
        shown = "Users Audit Base  zkrpc theader framed binary compact"
        assert (
            status == 0 and table.splitlines()[-1].endswith(shown) and table.splitlines()[-2].split()[-2:] == ["-", "-"]
        )
        status, output = command.run("explain", "users", "--zookeeper", zookeeper)
        assert status == 0 and "serves Users/Audit/Base, zkrpc/theader/framed/binary/compact" in output
        status, output = command.run("explain", "users", "--json", "--zookeeper", zookeeper)
        views = {view["id"]: (view["services"], view["protocols"]) for view in json.loads(output)["instances"]}
        assert views == {"w": (["Users", "Audit", "Base"], list(DIALECTS)), "foreign": ([], [])}


def test_ls_shows_what_others_wrote_without_obeying_it(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """Directions and breaks are escaped for people and exact for programs; a child that is no service's name is named
    and left out."""
    for path in ("/services/users/members", "/services/two words", "/services/\u202eback"):
        registry.session.znodes.ensure_path(path)
    odd = zkrpc.Instance(
        id="x", endpoint=zkrpc.Endpoint("127.0.0.1", 7), zone="\x1b[2J\n", protocols=("zkrpc", "\x1b]0;owned\x07")
    )
    registry.session.znodes.create("/services/users/members/member_\u202ew", dump_serverset(odd), ephemeral=True)
    program = command.start("ls", "--zookeeper", zookeeper)
    assert program.wait() == 0 and program.output.isascii() and "\x1b" not in program.output
    lines = program.output.splitlines()
    assert "left out, since it is no service's name: 'two words'" in lines
    assert "left out, since it is no service's name: '\\u202eback'" in lines
    assert lines[-1].split()[:2] == ["users", "1"] and lines[-1].endswith("zkrpc \\x1b]0;owned\\x07")
    status, output = command.run("ls", "users", "--zookeeper", zookeeper)
    assert status == 0 and "\\u202ew" in output and "\\x1b[2J\\n" in output and "\x1b" not in output
    (one,) = command.list(zookeeper, "users")["users"]
    assert (one["id"], one["zone"], one["protocols"][1]) == ("\u202ew", "\x1b[2J\n", "\x1b]0;owned\x07")


@pytest.mark.parametrize("what", ["nobody there", "no such chroot", "bad name", "bad connect string", "unknown"])
def test_ls_fails_in_one_line(what: str, command: Command, zookeeper: str) -> None:
    """ZooKeeper away may pass (1); a mistake does not (78)."""
    arguments, status, complaint = {
        "nobody there": (["--zookeeper=127.0.0.1:1", "--timeout=0.3"], 1, "no ZooKeeper at 127.0.0.1:1 within 0.3 s"),
        "no such chroot": ([f"--zookeeper={zookeeper}/prod/zkrp"], 1, "/prod/zkrp in the ZooKeeper at 127.0.0.1:"),
        "unknown": (["nosuch", f"--zookeeper={zookeeper}"], 1, "there is no service 'nosuch' at"),
        "bad name": (["a/b", f"--zookeeper={zookeeper}"], 78, "service name 'a/b' must be"),
        "bad connect string": (["--zookeeper=:"], 78, "is not an endpoint"),
    }[what]
    ended, output = command.run("ls", *arguments)
    lines = [line for line in output.splitlines() if line.startswith("zkrpc: ")]
    assert ended == status and len(lines) == 1 and complaint in lines[0] and "Traceback" not in output


@pytest.mark.parametrize("asked", [["ls"], ["ls", "users"], ["primary", "users"], ["config", "show", "users"]])
def test_reading_leaves_no_chroot_behind(asked: list[str], command: Command, zookeeper: str) -> None:
    """A mistyped chroot is one line and exit status 1, and ZooKeeper is as it was."""
    status, output = command.run(*asked, "--zookeeper", f"{zookeeper}/zkrp")
    assert status == 1 and "/zkrp in the ZooKeeper at" in output and len(output.splitlines()) == 1
    with zkrpc.Registry(zookeeper) as registry:
        assert registry.session.wait_connected(60) and registry.session.znodes.children("/") == []


def test_ls_shows_primaries_differences_and_who_is_offline(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """Whatever an operator wants to see at a glance; the same for programs."""
    znodes, paths = registry.session.znodes, Paths("users")
    for parent in (paths.members, paths.resting, paths.offline, paths.election("main"), paths.election("west")):
        znodes.ensure_path(parent)
    endpoints = [zkrpc.Endpoint("10.0.0.1", 7000 + number) for number in range(3)]
    first = zkrpc.Instance(id="a-0", endpoint=endpoints[0], version="1.4", idl_digest="a" * 64, zone="eu")
    second = zkrpc.Instance(id="a-1", endpoint=endpoints[1], version="1.5", idl_digest="b" * 64, weight=0.0)
    third = zkrpc.Instance(id="a-2", endpoint=endpoints[2], version="1.5")
    for one in (first, second):
        znodes.create(paths.member(one.id), dump_serverset(one), ephemeral=True)
    znodes.create(paths.rester(third.id), dump_serverset(third), ephemeral=True)
    znodes.create(paths.offline_order(third.id), OfflineOrder(reason="leaks", by="ada@ops").dump())
    leader = PrimaryRecord(epoch=17, instance="a-0", endpoint=endpoints[0])
    znodes.create(paths.primary("main"), leader.dump(), ephemeral=True)
    _, table = command.run("ls", "--zookeeper", zookeeper)
    row = table.splitlines()[1]
    assert "2 + 1 offline" in row and "main: a-0 (epoch 17), west: nobody" in row and "1.4 x1, 1.5 x1" in row
    assert "aaaaaaaa x1, bbbbbbbb x1 differ" in row
    _, table = command.run("ls", "users", "--zookeeper", zookeeper)
    head, _, *rows = table.splitlines()
    assert head == "users: 2 instances, 1 offline, 2 different IDLs, nobody leads west"
    assert rows[0].split()[:7] == ["a-0", "10.0.0.1:7000", "serves", "main", "1.4", "aaaaaaaa", "eu"]
    assert "gets no calls, its weight is 0" in rows[1] and re.search(
        "offline for [0-9.]+ s: leaks .by ada@ops", rows[2]
    )
    status, output = command.run("ls", "--json", "--zookeeper", zookeeper)
    told = json.loads(output)["users"]
    assert status == 0 and [one["primary_of"] for one in told["instances"]] == [["main"], []]
    assert told["primaries"] == {
        "main": {"epoch": 17, "instance": "a-0", "endpoint": "10.0.0.1:7000"},
        "west": None,
    }
    (offline,) = told["offline"]
    assert (offline["id"], offline["reason"], offline["running"]["endpoint"]) == ("a-2", "leaks", "10.0.0.1:7002")
    assert told["versions"] == {"1.4": 1, "1.5": 1} and told["config_version"] is None and told["unreadable"] == 0
