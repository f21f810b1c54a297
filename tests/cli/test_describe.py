"""``zkrpc describe``: one page about a service."""

from __future__ import annotations

import json

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.echo import EchoHandler, idl
from tests.support.programs import ROOT
from tests.support.waiting import eventually
from zkrpc.cli.describe import call_line, signature
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.idl import load_text
from zkrpc.registry.formats import PrimaryRecord, dump_serverset
from zkrpc.registry.schema import Paths

IDL = str(ROOT / "idl" / "users.thrift")


def test_method_is_told_as_an_idl_writes_it() -> None:
    """Result, parameters and exceptions; a oneway one says so."""
    methods = zkrpc.load(IDL).Users.methods
    assert signature(methods["get"]) == "User get(i64 id) throws (UserNotFound)"
    assert signature(methods["seen"]).startswith("oneway void seen(i64 id, ")


def test_method_is_told_with_the_command_that_calls_it() -> None:
    """To be filled in, or to show what to fill in; none for a method that Python cannot call."""
    methods = zkrpc.load(IDL).Users.methods
    assert call_line("users", methods["get"]) == """zkrpc call users.get '{"id": "<i64, required>"}'"""
    assert call_line("users", methods["whoami"]) == "zkrpc call users.whoami"
    fields = ", ".join(f"{number}: string a_rather_long_name_{number}" for number in range(1, 20))
    text = f"service Odd {{ void many({fields}), void none(1: map<map<i32, i32>, i32> odd) }}"
    odd = load_text(text, name="odd.thrift").Odd.methods
    assert call_line("odd", odd["many"]) == "zkrpc call odd.many --template" and call_line("odd", odd["none"]) is None


@pytest.mark.zookeeper
def test_describe_tells_all_on_one_page(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Instances, primaries and config from ZooKeeper; methods and their settings from the IDL."""
    znodes, paths, election = registry.session.znodes, Paths("users"), ElectionPaths("users")
    for parent in (paths.members, election.candidates):
        znodes.ensure_path(parent)
    endpoint = zkrpc.Endpoint("10.0.0.1", 7000)
    one = zkrpc.Instance(id="a-0", endpoint=endpoint, version="1.4", primary_only=("put",))
    znodes.create(paths.member("a-0"), dump_serverset(one), ephemeral=True)
    znodes.create(election.primary, PrimaryRecord(epoch=17, instance="a-0", endpoint=endpoint).dump(), ephemeral=True)
    znodes.create(election.epoch, EpochRecord(epoch=17, instance="a-0").dump())
    znodes.create(f"{election.candidates}/a-1.u-0000000003", ephemeral=True)
    status, page = command.run("describe", "users", "--zookeeper", zookeeper)
    lines = page.splitlines()
    assert (status, lines[0]) == (0, "users: 1 instance")
    assert "methods: not known, as no IDL is published; give it with --idl FILE" in lines
    assert "  served by a primary only: put" in lines
    assert "  main: a-0 at 10.0.0.1:7000, epoch 17, gets ready; waiting: a-1" in lines
    assert lines[-1] == "config: none; clients do what the IDL and their own code say"
    znodes.create(paths.config, b'{"methods": {"get": {"timeout_ms": 250}}, "allow": {"get": ["cn:admin"]}}')
    status, page = command.run("describe", "users", "--idl", IDL, "--zookeeper", zookeeper)
    lines = page.splitlines()
    place = lines.index("  User get(i64 id) throws (UserNotFound)")
    assert lines[place + 2] == """      zkrpc call users.get '{"id": "<i64, required>"}'"""
    assert status == 0 and "timeout 0.25 s (service config), idempotent yes (IDL)" in lines[place + 1]
    assert lines[place + 1].endswith(", allow cn:admin (service config)")
    assert (
        any(line.startswith("config: 0 changes, the last ") for line in lines) and '        "timeout_ms": 250' in lines
    )


@pytest.mark.zookeeper
def test_describe_tells_programs_the_same(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """As one object; a config that clients refuse is a note."""
    paths = Paths("users")
    registry.session.znodes.ensure_path(paths.members)
    registry.session.znodes.create(paths.config, b'{"timeout": 1}')
    status, output = command.run("describe", "users", "--json", "--idl", IDL, "--zookeeper", zookeeper)
    told = json.loads(output)
    assert status == 0 and (told["service"], told["instances"], told["config"]) == ("users", [], {})
    assert told["interface"]["name"] == "Users" and len(told["interface"]["digest"]) == 64
    get = told["methods"]["get"]
    assert get["parameters"] == [{"name": "id", "type": "i64", "required": True}]
    assert (get["returns"], get["throws"], get["oneway"]) == ("User", ["UserNotFound"], False)
    assert get["settings"]["timeout"] == {"value": 0.5, "source": "IDL"}
    (note,) = told["notes"]
    assert "clients refuse the service's config" in note and told["configured_at"] > 0
    status, page = command.run("describe", "users", "--zookeeper", zookeeper)
    assert status == 0 and "note: clients refuse the service's config" in page


@pytest.mark.zookeeper
def test_describe_reads_the_methods_that_the_service_publishes(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """No file is needed where an instance serves."""
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))
    with zkrpc.serve(service, zookeeper=registry) as app:
        assert app.registrar is not None and app.publisher is not None
        app.registrar.wait_registered(60)
        publisher = app.publisher
        eventually(lambda: publisher.status().published)
        status, page = command.run("describe", "echo", "--zookeeper", zookeeper)
        told = json.loads(command.run("describe", "echo", "--json", "--zookeeper", zookeeper)[1])
    assert "beside them: zkrpc.Health, zkrpc.Introspection; zkrpc describe echo/zkrpc.Health" in page
    assert told["built_in"] == ["zkrpc.Health", "zkrpc.Introspection"]
    assert (
        status == 0 and f"methods of Echo, IDL {idl.Echo.digest[:12]}" in page and "  string echo(string text)" in page
    )


@pytest.mark.zookeeper
def test_describe_of_nothing_says_what_there_is(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """With status 1."""
    registry.session.znodes.ensure_path("/services/users/members")
    status, output = command.run("describe", "usres", "--zookeeper", zookeeper)
    assert status == 1 and output.startswith("zkrpc: there is no service 'usres' at ") and "mean users?" in output


@pytest.mark.zookeeper
def test_describe_tells_what_every_port_answers(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Its methods, by the IDL that comes with zkrpc; for people, for programs, and when it is not there."""
    registry.session.znodes.ensure_path("/services/users/members")
    status, page = command.run("describe", "users/zkrpc.Health", "--zookeeper", zookeeper)
    lines = page.splitlines()
    assert (status, lines[0]) == (0, "zkrpc.Health, which each of the 0 instances of users answers beside its own")
    place = lines.index("  HealthStatus check(string service) throws (NotServed)")
    assert "timeout 1 s (IDL), idempotent yes (IDL)" in lines[place + 1]
    assert lines[place + 2].startswith("      zkrpc call users/zkrpc.Health.check '{")
    status, output = command.run("describe", "users/zkrpc.Health", "--json", "--zookeeper", zookeeper)
    told = json.loads(output)
    assert (status, told["service"], told["built_in"], told["interface"]["name"]) == (
        0,
        "users",
        "zkrpc.Health",
        "Health",
    )
    assert [*told["methods"]] == ["check", "watch"] and told["methods"]["check"]["returns"] == "HealthStatus"
    status, output = command.run("describe", "users/zkrpc.Helth", "--zookeeper", zookeeper)
    assert status == 1 and "no built-in service 'zkrpc.Helth'" in output and "did you mean zkrpc.Health?" in output
    status, output = command.run("describe", "users/zkrpc.Health", "--idl", IDL, "--zookeeper", zookeeper)
    assert status == 2 and "leave --idl out" in output
