"""``zkrpc config``: an operator says what clients shall do, and clients hear it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.waiting import eventually
from zkrpc.cli import config as module
from zkrpc.config import MethodConfig, ServiceConfig
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.session import Session
from zkrpc.zookeeper.znodes import Znodes

pytestmark = pytest.mark.zookeeper
PATH = Paths("users").config


class Operator:
    """Types ``zkrpc config`` commands against one ZooKeeper."""

    def __init__(self, command: Command, zookeeper: str, folder: Path) -> None:
        self._command = command
        self._zookeeper = zookeeper
        self.file = folder / "users.json"

    def run(self, *arguments: str) -> tuple[int, str]:
        """One command."""
        return self._command.run("config", *arguments, ZKRPC_ZOOKEEPER=self._zookeeper)

    def json(self, *arguments: str) -> dict[str, Any]:
        """One command that must work, for programs."""
        status, output = self.run(*arguments, "--json")
        assert status == 0, output
        return dict(json.loads(output))

    def set(self, text: str, *options: str) -> tuple[int, str]:
        """``zkrpc config set users FILE``."""
        self.file.write_text(text)
        return self.run("set", "users", str(self.file), *options)


@pytest.fixture
def operator(command: Command, zookeeper: str, tmp_path: Path) -> Operator:
    """Somebody with a shell."""
    return Operator(command, zookeeper, tmp_path)


def test_config_is_set_changed_and_cleared_and_clients_hear(operator: Operator, registry: zkrpc.Registry) -> None:
    """Every command says what it changed; what ``show`` prints is what ``set`` reads."""
    registry.session.znodes.ensure_path(Paths("users").members)
    heard: list[ServiceConfig] = []
    registry.resolver("users").follow_config(heard.append)
    status, output = operator.run("show", "users")
    assert (status, output.splitlines()) == (
        0,
        ["users has no config; its clients do what the IDL and their own code say", "{}"],
    )
    status, output = operator.set('{"timeout_ms": 500, "methods": {"get": {"hedge_ms": "p95"}}}')
    assert (status, output.splitlines()) == (
        0,
        [
            "note: the names in it were not compared with an IDL: it has no instances, and had none that published it",
            "users: 2 values changed",
            "  timeout_ms: not set -> 500",
            '  methods.get.hedge_ms: not set -> "p95"',
        ],
    )
    first = ServiceConfig(timeout=0.5, methods={"get": MethodConfig(hedge="p95")})
    eventually(lambda: heard[-1:] == [first])
    status, output = operator.set('{"timeout_ms": 400, "retry": {"ratio": 0.1}}', "--dry-run")
    wanted = [
        "  timeout_ms: 500 -> 400",
        "  retry.ratio: not set -> 0.1",
        '  methods.get.hedge_ms: "p95" -> not set',
    ]
    assert (status, output.splitlines()) == (0, ["users: 3 values would change", *wanted])
    assert operator.set('{"timeout_ms": 400, "retry": {"ratio": 0.1}}')[1].splitlines()[1:] == wanted
    eventually(lambda: heard[-1] == ServiceConfig(timeout=0.4, retry_ratio=0.1))
    shown = operator.json("show", "users")
    assert (shown["version"], shown["config"]) == (2, {"timeout_ms": 400, "retry": {"ratio": 0.1}})
    status, text = operator.run("show", "users")
    assert status == 0 and operator.set(text) == (0, "users: nothing changes\n")
    assert operator.json("show", "users") == shown
    status, output = operator.run("clear", "users")
    assert (status, output.splitlines()[:2]) == (0, ["users: config cleared", "  timeout_ms: 400 -> not set"])
    eventually(lambda: heard[-1] == ServiceConfig())
    assert operator.run("clear", "users") == (0, "users: it had no config\n")


def test_config_comes_from_standard_input_and_is_told_to_programs(
    operator: Operator, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """For scripts; a service that nobody has served yet may have one, if that is said."""
    # The commands are waited for in a thread: a session whose hub is blocked for so long would be given up.
    registry.session.znodes.ensure_path(Paths("user").members)
    set_ = [sys.executable, "-m", "zkrpc", "config", "set", "users", "-", "--zookeeper", zookeeper]
    done = zkrpc.offload(subprocess.run, set_, input=b"{}", capture_output=True, timeout=60)
    assert (
        done.returncode == 1
        and b"there is no service 'users' at" in done.stderr
        and b"did you mean user?" in done.stderr
    )
    assert b"say --force if it is going to be served" in done.stderr and registry.session.znodes.exists(PATH) is None
    done = zkrpc.offload(
        subprocess.run, [*set_, "--dry-run"], input=b'{"subset_size": 20}', capture_output=True, timeout=60
    )
    assert done.returncode == 0 and registry.session.znodes.exists(Paths("users").root) is None
    done = zkrpc.offload(
        subprocess.run, [*set_, "--json", "--force"], input=b'{"subset_size": 20}', capture_output=True, timeout=60
    )
    assert json.loads(done.stdout) == {
        "service": "users",
        "written": True,
        "version": 1,
        "changes": [{"path": "subset_size", "old": None, "new": 20}],
        "notes": [],
    }
    done = zkrpc.offload(subprocess.run, set_, input=b'{"subset_size": 30}', capture_output=True, timeout=60)
    assert done.stderr == b"no instance of users has registered so far; is the name right?\n"
    assert done.stdout.splitlines() == [b"users: 1 value changed", b"  subset_size: 20 -> 30"]
    assert registry.session.znodes.get(PATH) is not None
    changes = [{"path": "subset_size", "old": 30, "new": None}]
    cleared = {"service": "users", "written": True, "version": 3, "changes": changes, "notes": []}
    assert operator.json("clear", "users") == cleared
    assert operator.json("clear", "users") == {**cleared, "written": False, "changes": []}


def test_bad_config_is_not_written_and_a_bad_one_is_replaced(operator: Operator, registry: zkrpc.Registry) -> None:
    """The mistake is named by its place, before clients see it; somebody else's mistake can be put right."""
    registry.session.znodes.ensure_path(Paths("users").members)
    status, output = operator.set('{"methods": {"get": {"timeout_ms": "soon"}}}')
    assert status == 78 and len(output.splitlines()) == 1
    assert f"zkrpc: {operator.file}: methods.get.timeout_ms must be a whole number of milliseconds" in output
    assert operator.set("")[0] == 78 and registry.session.znodes.exists(PATH) is None
    assert "is over 65536" in operator.set(" " * 70_000)[1]
    registry.session.znodes.create(PATH, b'{"timeout": 1}')
    status, output = operator.run("show", "users")
    assert status == 78 and "zkrpc: clients refuse what /services/users/config holds: unknown key" in output
    assert "replace it: zkrpc config set users FILE" in output and len(output.splitlines()) == 1
    status, output = operator.set("{}")
    assert (status, output.splitlines()[1:]) == (0, ["users: the bad config is replaced"])
    assert "what was there is refused by clients: unknown key" in output
    assert operator.json("show", "users")["config"] == {}
    registry.session.znodes.set(PATH, b"?")
    assert operator.run("clear", "users") == (0, "users: config cleared\n")


@pytest.mark.parametrize("action", ["set", "first", "clear"])
def test_change_by_somebody_else_is_not_overwritten(
    action: str, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and writing; the error says what to do."""
    registry.session.znodes.ensure_path(Paths("users").members)
    if action != "first":
        registry.session.znodes.create(PATH, b"{}")
    look = module.look_at_config

    def look_and_lose(theirs: Session, paths: Paths) -> Any:
        stored = look(theirs, paths)
        registry.session.znodes.ensure_path(PATH)
        registry.session.znodes.set(PATH, b'{"timeout_ms": 1}')
        return stored

    monkeypatch.setattr(module, "look_at_config", look_and_lose)
    file = tmp_path / "mine.json"
    file.write_text('{"timeout_ms": 2}')
    arguments = ["clear", "users"] if action == "clear" else ["set", "users", str(file)]
    with pytest.raises(zkrpc.VersionConflict, match="look at it and try again: zkrpc config show users"):
        module.config.main([*arguments, f"--zookeeper={zookeeper}"], standalone_mode=False)
    found = registry.session.znodes.get(PATH)
    assert found is not None and found[0] == b'{"timeout_ms": 1}'


def test_write_without_an_answer_says_how_to_find_out(
    zookeeper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have happened."""

    def vanish(*_: object, **__: object) -> None:
        raise zkrpc.OutcomeUnknown("no answer")

    monkeypatch.setattr(Znodes, "multi", vanish)
    file = tmp_path / "mine.json"
    file.write_text('{"timeout_ms": 2}')
    with pytest.raises(zkrpc.OutcomeUnknown, match="no answer; see what came of it: zkrpc config show users"):
        module.config.main(["set", "users", str(file), "--force", f"--zookeeper={zookeeper}"], standalone_mode=False)


def test_every_change_is_a_version_that_can_be_compared_and_had_back(
    operator: Operator, registry: zkrpc.Registry
) -> None:
    """With its author and reason; a rollback is a version of its own."""
    registry.session.znodes.ensure_path(Paths("users").members)
    assert operator.run("history", "users") == (0, "users: its config was never changed by zkrpc config\n")
    operator.set('{"timeout_ms": 500}', "--reason=slow disks")
    operator.set('{"timeout_ms": 400, "subset_size": 5}', "--reason=better disks")
    newest, oldest = operator.json("history", "users")["versions"]
    assert (newest["number"], newest["reason"], oldest["number"], oldest["reason"]) == (
        2,
        "better disks",
        1,
        "slow disks",
    )
    assert "@" in newest["by"] and newest["at"] > 1.7e9 and json.loads(oldest["config"]) == {"timeout_ms": 500}
    status, table = operator.run("history", "users")
    assert status == 0 and [row.split()[0] for row in table.splitlines()] == ["VERSION", "2", "1"]
    assert table.splitlines()[1].endswith("2       better disks")
    told = ["  timeout_ms: 500 -> 400", "  subset_size: not set -> 5"]
    status, output = operator.run("diff", "users")
    assert (status, output.splitlines()) == (0, ["users: 2 values differ from version 1 to 2", *told])
    assert operator.run("diff", "users", "2", "2") == (0, "users: 0 values differ from version 2 to 2\n")
    assert operator.json("diff", "users", "0", "1")["changes"] == [{"path": "timeout_ms", "old": None, "new": 500}]
    status, output = operator.run("diff", "users", "7")
    assert status == 1 and "the config of users has no version 7; there are 1 to 2" in output
    status, output = operator.run("rollback", "users", "--dry-run")
    assert status == 0 and output.startswith("users: 2 values would change, as at version 1\n")
    assert operator.json("rollback", "users")["version"] == 3
    assert operator.json("show", "users")["config"] == {"timeout_ms": 500}
    assert operator.json("history", "users")["versions"][0]["reason"] == "rolled back to version 1"
    assert operator.run("rollback", "users", "1") == (0, "users: nothing changes\n")
    assert operator.json("rollback", "users", "0", "--reason=start anew")["written"]
    assert registry.session.znodes.exists(PATH) is None and operator.json("history", "users")["versions"][0] == {
        **operator.json("history", "users")["versions"][0],
        "number": 4,
        "config": None,
        "reason": "start anew",
    }


def test_config_of_somebody_elses_hand_becomes_a_version(operator: Operator, registry: zkrpc.Registry) -> None:
    """It can be had back after it was replaced; one that clients refuse cannot."""
    registry.session.znodes.ensure_path(Paths("users").members)
    registry.session.znodes.create(PATH, b'{"timeout_ms": 7}')
    assert operator.json("show", "users")["version"] == 1
    assert operator.json("history", "users")["versions"][0]["number"] == 1
    operator.set('{"timeout_ms": 8}')
    found = operator.json("history", "users")["versions"]
    assert [one["number"] for one in found] == [2, 1] and "not written by zkrpc config" in found[1]["reason"]
    registry.session.znodes.set(PATH, b'{"timeout": 1}')
    status, output = operator.run("diff", "users")
    assert status == 78 and "zkrpc: version 3 is one that clients refuse: unknown key" in output
    assert operator.json("rollback", "users", "1")["version"] == 4
    assert operator.json("show", "users")["config"] == {"timeout_ms": 7}
    status, output = operator.run("rollback", "users", "3")
    assert status == 78 and "unknown key 'timeout'" in output


def test_file_from_an_older_version_does_not_undo_a_newer_one(operator: Operator, registry: zkrpc.Registry) -> None:
    """If the operator says which version it is from; the error says how to see what has changed."""
    registry.session.znodes.ensure_path(Paths("users").members)
    assert operator.set('{"timeout_ms": 5}', "--expect=0")[0] == 0
    assert operator.set('{"timeout_ms": 6}', "--expect=1")[0] == 0
    status, output = operator.set('{"timeout_ms": 7}', "--expect=1")
    assert status == 1 and "is at version 2, not 1; see what has changed: zkrpc config diff users 1" in output
    assert operator.json("show", "users")["config"] == {"timeout_ms": 6}
    assert operator.set("{}", "--reason=" + "x" * 501)[0] == 78


def test_check_judges_a_file_without_zookeeper(operator: Operator, tmp_path: Path) -> None:
    """0 if clients accept it, 78 with the place of the mistake if they do not."""
    operator.file.write_text('{"timeout_ms": 500, "methods": {"get": {"hedge_ms": "p95"}}}')
    assert operator.run("check", str(operator.file)) == (0, f"{operator.file}: clients accept it, 2 values\n")
    assert operator.json("check", str(operator.file)) == {
        "file": str(operator.file),
        "good": True,
        "values": {"timeout_ms": 500, "methods.get.hedge_ms": "p95"},
        "interfaces": [],
        "notes": [],
    }
    operator.file.write_text('{"timeout_ms": 0}')
    status, output = operator.run("check", str(operator.file))
    assert status == 78 and f"zkrpc: {operator.file}: timeout_ms must be a whole number" in output


@pytest.mark.parametrize("what", ["no file", "bad name", "nobody there", "unknown", "unknown too"])
def test_config_fails_in_one_line(what: str, command: Command, zookeeper: str) -> None:
    """A mistyped command is 2, a mistake 78, what may pass 1."""
    arguments, status, complaint = {
        "unknown": (["show", "usres"], 1, "there is no service 'usres' at"),
        "unknown too": (["clear", "usres"], 1, "there is no service 'usres' at"),
        "no file": (["set", "users", "/nowhere.json"], 2, "No such file"),
        "bad name": (["show", "a/b"], 78, "zkrpc: service name 'a/b' must be"),
        "nobody there": (["clear", "u", "--timeout=0.3", "--zookeeper=127.0.0.1:1"], 1, "zkrpc: no ZooKeeper at"),
    }[what]
    ended, output = command.run("config", *arguments, ZKRPC_ZOOKEEPER=zookeeper)
    assert ended == status and complaint in output and "Traceback" not in output
