"""``zkrpc acl``, and the other commands where nodes belong to somebody: the ledger, served with credentials."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.waiting import eventually
from zkrpc.config import RegistryConfig
from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import AccessDenied
from zkrpc.zookeeper.access import user

pytestmark = pytest.mark.zookeeper

PASSWORD = "s3cret-of-the-ledger"


def test_the_ledger_with_credentials(command: Command, zookeeper: str, tmp_path: Path) -> None:
    """It registers and elects. Whoever has no credentials sees that, and cannot change it; with them commands work. No
    command shows the password, and nor does the list of processes."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    file = tmp_path / "security.toml"
    file.write_text('username = "ledger"\npassword-file = "password"\n')
    hosts, known = f"{zookeeper}/kept", ("--zookeeper-security", str(file))
    environment = {"LEDGER_DATABASE": str(tmp_path / "ledger.sqlite"), "ZKRPC_ZOOKEEPER": hosts}
    options = ("--linger=0", "--id=l", "--workers=2", *known)
    serving = command.start("serve", "examples.ledger:service", *options, **environment)

    def run(*arguments: str) -> tuple[int, str]:
        status, output = command.run(*arguments, **environment)
        assert PASSWORD not in output
        return status, output

    with zkrpc.Registry(zookeeper, config=RegistryConfig(security=ZooKeeperSecurity())) as registry:
        znodes = registry.session.znodes
        assert registry.session.wait_connected(60)
        eventually(lambda: len(znodes.children("/kept/services/ledger/members") or ()) == 2)
        eventually(lambda: znodes.exists("/kept/services/ledger/election/main/primary") is not None)
    assert run("ls", "ledger")[0] == 0
    status, output = run("primary", "step-down", "ledger")
    assert status == 1 and "does not let us create, who come as nobody" in output and len(output.splitlines()) == 1
    assert run("primary", "step-down", "ledger", *known)[0] == 0
    assert run("acl", "check", *known)[0] == 0
    status, output = run("doctor", "ledger", "--json", *known)
    checks = {one["name"]: one["status"] for one in json.loads(output)["checks"]}
    assert [checks[name] for name in ("access", "access-open", "access-owners")] == ["good"] * 3
    arguments = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in _family(serving.process.pid)]
    assert len(arguments) == 3 and not any(PASSWORD.encode() in one for one in arguments)
    serving.close()
    assert PASSWORD not in serving.output


def _family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def test_acl_finds_and_fixes(command: Command, zookeeper: str) -> None:
    """What was made without credentials; a dry run changes nothing, and what is others' is left to them."""
    with zkrpc.Registry(zookeeper, config=RegistryConfig(security=ZooKeeperSecurity())) as registry:
        assert registry.session.wait_connected(60)
        registry.session.znodes.ensure_path("/services/users/members")

    def run(*arguments: str, name: str = "alice") -> tuple[int, str]:
        known = {"ZKRPC_ZOOKEEPER_USERNAME": name, "ZKRPC_ZOOKEEPER_PASSWORD": PASSWORD} if name else {}
        return command.run("acl", *arguments, ZKRPC_ZOOKEEPER=zookeeper, **known)

    status, output = run("check", name="")
    assert status == 78 and "there are none: give --zookeeper-security FILE" in output
    status, output = run("check", "users")
    assert status == 1
    assert "WRONG     /services/users: anyone may write, create, delete, admin\n" in output
    assert output.endswith("6 nodes seen as digest alice: 4 not as they should be\n")
    status, output = run("fix", "--dry-run")
    assert status == 0 and "would fix /services/users: " in output and output.endswith("4 would be put right, 0 left\n")
    assert run("check", "users")[0] == 1
    status, output = run("fix", "--json")
    assert status == 0 and (json.loads(output)["wrong"], json.loads(output)["left"]) == (4, 0)
    assert run("check", "users") == (0, "6 nodes seen as digest alice: 0 not as they should be\n")
    status, output = run("fix", "users", name="bob")
    assert status == 1 and "FOREIGN   /services/users: digest bob may not" in output
    assert output.endswith("0 put right, 2 left\n")
    status, output = run("check", name="bob")
    assert status == 0 and output.startswith("note: 1 node beside ours belong to digest alice: /services/users\n")


def test_acl_finds_what_strangers_have_made(command: Command, zookeeper: str) -> None:
    """Where the users are named; they cannot make more once the parents are put right."""
    alice, bob = user("alice", PASSWORD), user("bob", PASSWORD)
    named = ZooKeeperSecurity(username="alice", password=PASSWORD, users=(f"digest:{bob.name}",))

    def opened(security: ZooKeeperSecurity) -> zkrpc.Registry:
        registry = zkrpc.Registry(zookeeper, config=RegistryConfig(session_timeout=6.0, security=security))
        assert registry.session.wait_connected(60)
        return registry

    def run(*arguments: str) -> tuple[int, str]:
        known = {"ZKRPC_ZOOKEEPER_USERNAME": "alice", "ZKRPC_ZOOKEEPER_PASSWORD": PASSWORD}
        known["ZKRPC_ZOOKEEPER_USERS"] = named.users[0]
        return command.run("acl", *arguments, ZKRPC_ZOOKEEPER=zookeeper, **known)

    with (
        opened(dataclasses.replace(named, users=())) as ours,
        opened(ZooKeeperSecurity(username="bob", password=PASSWORD)) as theirs,
        opened(ZooKeeperSecurity(username="eve", password=PASSWORD)) as stranger,
    ):
        for path in ("/services/hers/members", "/idl", "/heartbeats"):
            ours.session.znodes.ensure_path(path)
        theirs.session.znodes.ensure_path("/services/his/members")
        for path in ("/services/planned", "/heartbeats/h-0", f"/idl/{'0' * 64}"):
            stranger.session.znodes.ensure_path(path)
        status, output = run("check")
        assert status == 1 and [line.split(":")[0] for line in output.splitlines() if "STRANGER" in line] == [
            "STRANGER  /heartbeats/h-0",
            f"STRANGER  /idl/{'0' * 64}",
            "STRANGER  /services/planned",
        ]
        assert "it belongs to digest eve, whom the settings do not name" in output and "/services/his" not in output
        assert run("fix")[0] == 0
        with pytest.raises(AccessDenied):
            stranger.session.znodes.ensure_path("/services/more")
        told = json.loads(run("check", "--json")[1])
        assert (told["wrong"], len(told["strangers"])) == (3, 3) and told["as"] == [str(alice)]


def test_config_is_for_its_service_s_user_to_change(command: Command, zookeeper: str, tmp_path: Path) -> None:
    """Of two who share a ZooKeeper each changes that of its own service, and reads the other's."""
    file = tmp_path / "config.json"
    file.write_text('{"timeout_ms": 500}')
    for name in ("alice", "bob"):
        security = ZooKeeperSecurity(username=name, password=PASSWORD)
        with zkrpc.Registry(zookeeper, config=RegistryConfig(security=security)) as registry:
            assert registry.session.wait_connected(60)
            registry.session.znodes.ensure_path(f"/services/of-{name}/members")

    def run(name: str, *arguments: str) -> tuple[int, str]:
        known = {"ZKRPC_ZOOKEEPER_USERNAME": name, "ZKRPC_ZOOKEEPER_PASSWORD": PASSWORD} if name else {}
        return command.run("config", *arguments, ZKRPC_ZOOKEEPER=zookeeper, **known)

    assert run("alice", "set", "of-alice", str(file))[0] == run("bob", "set", "of-bob", str(file))[0] == 0
    file.write_text('{"timeout_ms": 9}')
    for name, who in (("alice", "digest alice"), ("", "nobody")):
        status, output = run(name, "set", "of-bob", str(file))
        assert status == 1 and "does not let us" in output and f"who come as {who}" in output
    status, output = run("alice", "show", "of-bob")
    assert status == 0 and json.loads(output) == {"timeout_ms": 500}
