"""``zkrpc config`` and names that no IDL has."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import zkrpc
from tests.cli.test_config import PATH, Operator
from tests.support.command import Command
from tests.support.programs import ROOT
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.publication import Publication, pack
from zkrpc.registry.schema import Paths, idl_path

pytestmark = pytest.mark.zookeeper


@pytest.fixture
def operator(command: Command, zookeeper: str, tmp_path: Path) -> Operator:
    """Somebody with a shell."""
    return Operator(command, zookeeper, tmp_path)


def publish(registry: zkrpc.Registry, instance: str, *methods: str) -> None:
    """Registers an instance that serves these methods, with its IDL."""
    text = f"service Users {{ {', '.join(f'void {one}(1: i64 id)' for one in methods)} }}"
    said = Publication(interface="Users", digest=hashlib.sha256(text.encode()).hexdigest())
    znodes, paths = registry.session.znodes, Paths("users")
    for parent in (paths.members, "/idl"):
        znodes.ensure_path(parent)
    znodes.create(idl_path(said.digest), pack(text))
    one = zkrpc.Instance(
        id=instance, endpoint=zkrpc.Endpoint("10.0.0.1", 7000), interface="Users", idl_digest=said.digest
    )
    znodes.create(paths.member(instance), dump_serverset(one), ephemeral=True)


def test_misspelt_method_is_an_error_where_the_idl_is_known(operator: Operator, registry: zkrpc.Registry) -> None:
    """With the nearest name, for people and programs; a name that any of several versions has is right."""
    publish(registry, "a-0", "get", "find")
    operator.file.write_text('{"hash_key": "id", "methods": {"gte": {"timeout_ms": 5}}}')
    status, output = operator.run("check", str(operator.file), "--service", "users")
    assert (status, output) == (
        78,
        f"zkrpc: {operator.file}: methods.gte: Users has no method 'gte'; did you mean get?\n",
    )
    status, output = operator.run("check", str(operator.file), "--service", "users", "--json")
    error = json.loads(output)["error"]
    assert (status, error["kind"], error["exit_status"], error["alike"]) == (78, "UnknownNames", 78, ["get"])
    publish(registry, "b-0", "get", "search")
    operator.file.write_text('{"methods": {"find": {"timeout_ms": 5}, "search": {"timeout_ms": 5}}}')
    told = operator.json("check", str(operator.file), "--service", "users")
    assert told["notes"] == [] and [one["name"] for one in told["interfaces"]] == ["Users", "Users"]
    status, output = operator.run("check", str(operator.file), "--service", "users")
    assert status == 0 and "clients accept it, 2 values; compared with Users " in output
    operator.file.write_text('{"hash_key": "uid", "methods": {"fnd": {"timeout_ms": 5}}}')
    status, output = operator.run("check", str(operator.file), "--service", "users")
    assert status == 78 and output.splitlines() == [
        f"zkrpc: {operator.file}: 2 names stand for nothing",
        "  methods.fnd: Users, in 2 versions, has no method 'fnd'; did you mean find?",
        "  hash_key: no method of Users, in 2 versions, has a parameter 'uid'; did you mean id?",
    ]


def test_config_is_compared_with_a_file_without_zookeeper(operator: Operator, command: Command) -> None:
    """For a build; what is asked of ZooKeeper needs its address."""
    operator.file.write_text('{"methods": {"gte": {"timeout_ms": 5}}}')
    idl = str(ROOT / "idl" / "users.thrift")
    check = ("config", "check", str(operator.file))
    status, output = command.run(*check, "--idl", idl)
    assert status == 78 and "Users has no method 'gte'; did you mean get?" in output
    operator.file.write_text('{"methods": {"get": {"timeout_ms": 5}, "Ledger:balance": {"timeout_ms": 5}}}')
    both = ("--idl", idl, "--idl", str(ROOT / "idl" / "ledger.thrift"))
    assert command.run(*check, *both)[0] == 0 and command.run(*check, "--idl", idl)[0] == 78
    status, output = command.run(*check, "--service", "users")
    assert status == 2 and "--service is found in ZooKeeper: give --zookeeper HOSTS" in output
    status, output = command.run(*check, "--service", "users", "--idl", idl)
    assert status == 2 and "--service and --idl exclude each other" in output


def test_names_are_not_judged_where_no_idl_is_published(operator: Operator, registry: zkrpc.Registry) -> None:
    """That is a note; and so is a name beside an instance that does not say what it serves."""
    registry.session.znodes.ensure_path(Paths("users").members)
    config = '{"methods": {"gte": {"timeout_ms": 5}}}'
    note = "note: the names in it were not compared with an IDL: it has no instances, and had none that published it"
    status, output = operator.set(config)
    assert status == 0 and output.splitlines()[:2] == [note, "users: 1 value changed"]
    assert operator.run("check", str(operator.file), "--service=users")[1].splitlines()[0] == note
    publish(registry, "a-0", "get")
    other = zkrpc.Instance(id="finagle", endpoint=zkrpc.Endpoint("10.0.0.1", 7001))
    registry.session.znodes.create(Paths("users").member("finagle"), dump_serverset(other), ephemeral=True)
    (note,) = operator.json("check", str(operator.file), "--service", "users")["notes"]
    assert "did you mean get?; it may be right nevertheless: finagle registered without naming one" in note


def test_misspelt_method_is_set_only_if_that_is_said(operator: Operator, registry: zkrpc.Registry) -> None:
    """As one that is going to be served may be configured before."""
    publish(registry, "a-0", "get")
    config = '{"methods": {"gte": {"timeout_ms": 5}}}'
    for options in ((), ("--dry-run",)):
        status, output = operator.set(config, *options)
        assert (
            status == 78 and "methods.gte: Users has no method 'gte'; did you mean get?; say --allow-unknown" in output
        )
    assert registry.session.znodes.exists(PATH) is None
    status, output = operator.set(config, "--json")
    assert status == 78 and json.loads(output)["error"]["alike"] == ["get"]
    status, output = operator.set(config, "--allow-unknown-names")
    note = "methods.gte: Users has no method 'gte'; did you mean get?"
    assert (status, output.splitlines()[:2]) == (0, [f"note: {note}", "users: 1 value changed"])
    status, output = operator.set(config, "--allow-unknown-names", "--json")
    assert json.loads(output)["notes"] == [note]
    assert operator.set('{"methods": {"get": {"timeout_ms": 5}}}')[0] == 0
