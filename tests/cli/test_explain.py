"""``zkrpc explain``: the rows as people read them, and the command on real workers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from examples.users import UsersHandler
from tests.support.command import Command, await_registered
from tests.support.waiting import eventually
from zkrpc.cli.explain import Explanation, plain, render
from zkrpc.client.explanation import InstanceView
from zkrpc.client.policy import Setting, resolve_client
from zkrpc.config import ClientConfig, MethodConfig, ServiceConfig
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config

IDL = "idl/users.thrift"
TOLD = Explanation(
    "users",
    {
        "get": [
            Setting(name="timeout", value=0.5, source="IDL"),
            Setting(name="idempotent", value=False, source="service config"),
            Setting(name="hedge", value=None, source="service config", note="p95 is ignored"),
            Setting(name="max_attempts", value=4, source="built-in default"),
        ]
    },
    [
        InstanceView(
            id="w-0",
            endpoint="10.0.0.1:9090",
            weight=2.5,
            zone="a",
            protocols=("zkrpc", "framed"),
            age=3.2,
            connected_in=0.0004,
            answered_in=0.0123,
            remarks=("it warms up",),
        ),
        InstanceView(
            id="w-1",
            endpoint="10.0.0.2:9090",
            weight=0.0,
            zone="",
            protocols=(),
            age=None,
            connected_in=None,
            answered_in=None,
            obstacles=("its weight is 0", "no connection"),
        ),
    ],
    ["mind this"],
)


def test_rows_are_shown_for_people() -> None:
    """Values with their sources, instances with the reasons against them, and what to bear in mind."""
    assert list(render(TOLD)) == [
        "get",
        "  timeout       0.5 s        IDL",
        "  idempotent    no           service config",
        "  hedge         never        service config (p95 is ignored)",
        "  max_attempts  4            built-in default",
        "instances: 2, of which 1 would be picked",
        "  10.0.0.1:9090          w-0                      weight 2.5, zone a, age 3.2 s, zkrpc/framed, "
        "connected in 0.4 ms, ping answered in 12.3 ms",
        "    picked less: it warms up",
        "  10.0.0.2:9090          w-1                      weight 0, unknown protocol",
        "    not picked: its weight is 0",
        "    not picked: no connection",
        "note: mind this",
    ]


def test_rows_are_told_to_programs() -> None:
    """The same, with numbers as numbers."""
    told = json.loads(json.dumps(plain(TOLD)))
    assert told["methods"]["get"][2] == {
        "name": "hedge",
        "value": None,
        "source": "service config",
        "note": "p95 is ignored",
    }
    assert [(one["id"], one["picked"], one["connected_in"]) for one in told["instances"]] == [
        ("w-0", True, 0.0004),
        ("w-1", False, None),
    ]
    assert (told["service"], told["notes"]) == ("users", ["mind this"])


def test_values_that_hold_for_all_calls_are_shown_with_their_units() -> None:
    """Durations are seconds; what is a share, a rate, a count or a name is shown as such, and what is not there too."""
    service = ServiceConfig(retry_ratio=0.5, hash_key="id")
    told = Explanation("users", {}, [], [], resolve_client(ClientConfig(patience=2.0), service).settings)
    lines = list(render(told))
    assert [lines[0], lines[-1]] == ["all calls", "instances: 0, of which 0 would be picked"]
    assert "  patience                     2 s          client config" in lines
    assert "  hash_key                     none         service config ('id' is ignored: balancing is p2c)" in lines
    shown = {one.name: line[31:43].strip() for one, line in zip(told.client, lines[1:])}
    assert {name: text for name, text in shown.items() if not text.endswith(" s") or "per" in text} == {
        "balancing": "p2c",
        "hash_key": "none",
        "subset_size": "all",
        "retry_ratio": "0.5 per call",
        "retry_reserve": "10 per s",
        "plain_connections": "4",
        "client_id": "random",
        "name": "program's",
        "version": "program's",
        "zone": "none",
        "collapse_floor": "0.5",
        "wire.max_frame": "4194304",
        "wire.max_header": "8192",
        "wire.max_header_entries": "64",
        "wire.max_in_flight": "1024",
        "wire.max_in_flight_bytes": "67108864",
        "wire.max_unsent": "16777216",
        "wire.max_elements": "100000",
        "wire.accept_zlib": "no",
        "wire.max_inflation": "32",
        "breaker.consecutive_failures": "5",
        "breaker.success_rate": "0.8",
        "breaker.min_calls": "5",
    }
    assert json.loads(json.dumps(plain(told)))["client"][0] == {
        "name": "balancing",
        "value": "p2c",
        "source": "built-in default",
        "note": "",
    }


def explain(command: Command, zookeeper: str, *arguments: str) -> dict[str, Any]:
    """What ``zkrpc explain --json`` says."""
    status, output = command.run("explain", *arguments, "--json", ZKRPC_ZOOKEEPER=zookeeper)
    assert status == 0, output
    return dict(json.loads(output))


@pytest.mark.zookeeper
def test_explain_tells_who_said_what_and_who_answers(
    command: Command, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path
) -> None:
    """Two live workers, one that is frozen, one that is gone; the IDL, and an operator who overrules it."""
    command.serve(zookeeper, "--id=u", "--workers=3", "--zone=z1")
    found = await_registered(registry, 3)
    gone = Instance(id="gone", endpoint=Endpoint("127.0.0.1", 1), weight=0.0)
    registry.session.znodes.create(Paths("users").member("gone"), dump_serverset(gone), ephemeral=True)
    config = ServiceConfig(hedge="p95", methods={"get": MethodConfig(timeout=0.2), "fetch": MethodConfig()})
    registry.session.znodes.create(Paths("users").config, dump_service_config(config))
    frozen = int(found["u-2"].metadata["pid"])
    os.kill(frozen, signal.SIGSTOP)
    try:
        told = explain(command, zookeeper, "users", f"--idl={IDL}", "--zone=z2", "--ping-timeout=3")
    finally:
        os.kill(frozen, signal.SIGCONT)
    values = {
        name: {one["name"]: (one["value"], one["source"]) for one in values} for name, values in told["methods"].items()
    }
    assert values["get"] == {
        "timeout": (0.2, "service config"),
        "idempotent": (True, "IDL"),
        "hedge": ("p95", "service config"),
        "max_attempts": (4, "built-in default"),
    }
    assert values["create"]["hedge"] == (None, "service config") and set(values) >= {"find", "put", "whoami"}
    views = {one["id"]: one for one in told["instances"]}
    assert [name for name, one in sorted(views.items()) if one["picked"]] == ["u-0", "u-1"]
    assert views["u-0"]["answered_in"] < 3 and "it is in zone z1, not in z2" in views["u-0"]["remarks"]
    assert views["u-2"]["obstacles"] == ["a ping was not answered in time"] and views["u-2"]["connected_in"] < 3
    assert views["gone"]["obstacles"] == ["its weight is 0", "no connection: Connection refused"]
    assert any("methods that Users has not: fetch" in note for note in told["notes"])
    assert not any("another IDL" in note for note in told["notes"])
    (tmp_path / "users.thrift").write_text("// of yesterday\n" + Path(IDL).read_text())
    (note,) = [
        note
        for note in explain(command, zookeeper, "users", f"--idl={tmp_path}/users.thrift", "--ping-timeout=0.1")[
            "notes"
        ]
        if "another IDL" in note
    ]
    assert note.startswith("u-0, u-1, u-2 registered with another IDL than") and found["u-0"].idl_digest[:12] in note


class NobodysUsers(UsersHandler):
    """Opens no database: it is not called."""

    def __init__(self) -> None:
        pass


@pytest.mark.zookeeper
def test_explain_reads_the_idl_that_the_service_publishes(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """No file is needed where an instance serves, which also tells the lists of its code; who serves another IDL than
    the newest is named, and a method that there is not is no method with defaults."""
    about: Any = {"name": "users", "config": zkrpc.ServerConfig(linger=0), "allow": {"get": ["cn:admin"]}}
    service = zkrpc.Service(zkrpc.load(IDL).Users, NobodysUsers, **about)
    with zkrpc.serve(service, zookeeper=registry) as app:
        assert app.registrar is not None and app.publisher is not None
        app.registrar.wait_registered(60)
        publisher = app.publisher
        eventually(lambda: publisher.status().published)
        older = Instance(id="older", endpoint=Endpoint("127.0.0.1", 1), idl_digest="0" * 64, interface="Users")
        registry.session.znodes.create(Paths("users").member("older"), dump_serverset(older), ephemeral=True)
        told = explain(command, zookeeper, "users", "get", "--ping-timeout=10")
        ended, output = command.run("explain", "users", "gett", ZKRPC_ZOOKEEPER=zookeeper)
    sources = {one["name"]: one["source"] for one in told["methods"]["get"]}
    assert (sources["timeout"], sources["allow"]) == ("IDL", "service code")
    assert not any("not counted in" in note for note in told["notes"])
    (note,) = [note for note in told["notes"] if "another IDL" in note]
    assert note.startswith("older registered with another IDL than the newest, which is explained here: theirs has")
    assert (ended, output) == (1, "zkrpc: there is no method 'gett' in Users; did you mean get?\n")


@pytest.mark.zookeeper
def test_explain_does_without_an_idl_and_without_instances(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """It says what it does not know; a config that clients refuse is named."""
    registry.session.znodes.ensure_path(Paths("users").root)
    status, text = command.run("explain", "users", "get", "--zookeeper", zookeeper)
    lines = text.splitlines()
    assert status == 0 and lines[:2] == ["get", "  timeout       5 s          built-in default"]
    assert "instances: 0, of which 0 would be picked" in lines
    assert lines[-3:] == [
        "note: the service has no config",
        "note: what the IDL says is not counted in, as none is published; give it with --idl FILE",
        "note: client code may say otherwise, with ClientConfig or with the options of a call",
    ]
    path = Paths("users").config
    registry.session.znodes.create(path, dump_service_config(ServiceConfig(methods={"get": MethodConfig(timeout=1)})))
    assert list(explain(command, zookeeper, "users")["methods"]) == ["(any method)", "get"]
    registry.session.znodes.set(path, b'{"timeout": 1}')
    refused, *_ = explain(command, zookeeper, "users")["notes"]
    assert refused.startswith("clients refuse the service's config") and "zkrpc config show users" in refused


@pytest.mark.zookeeper
def test_explain_knows_that_only_a_primary_serves_some_methods(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """Whoever leads no group is not picked for them; other methods are anybody's."""
    paths = Paths("ledger")
    registry.session.znodes.ensure_path(paths.members)
    for number in (1, 2):
        instance = Instance(id=f"l-{number}", endpoint=Endpoint("127.0.0.1", number), protocols=("framed",))
        registry.session.znodes.create(paths.member(instance.id), dump_serverset(instance), ephemeral=True)
    idl = ("--idl", "idl/ledger.thrift:Ledger")

    def unled(method: str) -> list[str]:
        views = explain(command, zookeeper, "ledger", method, *idl)["instances"]
        return [one["id"] for one in views if any("leads no group" in reason for reason in one["obstacles"])]

    assert unled("transfer") == ["l-1", "l-2"] and unled("balance") == []
    for group, record in {"main": b'{"epoch": 3, "endpoint": "127.0.0.1:2"}', "bad": b"?"}.items():
        registry.session.znodes.ensure_path(paths.primary(group).rpartition("/")[0])
        registry.session.znodes.create(paths.primary(group), record, ephemeral=True)
    assert unled("transfer") == ["l-1"]
    hint = "only a primary serves open, transfer, whoami; see who leads: zkrpc primary ledger"
    assert hint in explain(command, zookeeper, "ledger", *idl)["notes"]


@pytest.mark.zookeeper
@pytest.mark.parametrize(
    "what", ["no file", "no method", "like one", "unknown", "no service", "nobody there", "bad name"]
)
def test_explain_fails_in_one_line(what: str, command: Command, zookeeper: str) -> None:
    """Mistakes are 78 and say what there is; what may pass is 1."""
    arguments, status, complaint = {
        "no file": (["users", "--idl=nowhere.thrift"], 78, "nowhere.thrift"),
        "no method": (["users", "fetch", f"--idl={IDL}"], 78, "Users has no method 'fetch'; there are get, find"),
        "unknown": (["usres", f"--idl={IDL}"], 1, "there is no service 'usres' at "),
        "like one": (["users", "gett", f"--idl={IDL}"], 78, "Users has no method 'gett'; did you mean get?"),
        "no service": (["users", f"--idl={IDL}:Shop"], 78, f"{IDL} has Users; say which: --idl {IDL}:SERVICE"),
        "nobody there": (["users", "--timeout=0.3", "--zookeeper=127.0.0.1:1"], 1, "no ZooKeeper at"),
        "bad name": (["a/b"], 78, "service name 'a/b' must be"),
    }[what]
    ended, output = command.run("explain", *arguments, ZKRPC_ZOOKEEPER=zookeeper)
    lines = [line for line in output.splitlines() if line.startswith("zkrpc: ")]
    assert ended == status and len(lines) == 1 and complaint in lines[0] and "Traceback" not in output
