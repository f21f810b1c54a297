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
    assert (shown["version"], shown["config"]) == (1, {"timeout_ms": 400, "retry": {"ratio": 0.1}})
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
    registry.session.znodes.ensure_path(Paths("user").members)
    set_ = [sys.executable, "-m", "zkrpc", "config", "set", "users", "-", "--zookeeper", zookeeper]
    done = subprocess.run(set_, input=b"{}", capture_output=True, timeout=60)
    assert (
        done.returncode == 1
        and b"there is no service 'users' at" in done.stderr
        and b"did you mean user?" in done.stderr
    )
    assert b"say --force if it is going to be served" in done.stderr and registry.session.znodes.exists(PATH) is None
    done = subprocess.run([*set_, "--dry-run"], input=b'{"subset_size": 20}', capture_output=True, timeout=60)
    assert done.returncode == 0 and registry.session.znodes.exists(Paths("users").root) is None
    done = subprocess.run([*set_, "--json", "--force"], input=b'{"subset_size": 20}', capture_output=True, timeout=60)
    assert json.loads(done.stdout) == {
        "service": "users",
        "written": True,
        "changes": [{"path": "subset_size", "old": None, "new": 20}],
    }
    done = subprocess.run(set_, input=b'{"subset_size": 30}', capture_output=True, timeout=60)
    assert done.stderr == b"no instance of users has registered so far; is the name right?\n"
    assert done.stdout.splitlines() == [b"users: 1 value changed", b"  subset_size: 20 -> 30"]
    assert registry.session.znodes.get(PATH) is not None
    cleared = {"service": "users", "written": True, "changes": [{"path": "subset_size", "old": 30, "new": None}]}
    assert operator.json("clear", "users") == cleared
    assert operator.json("clear", "users") == {"service": "users", "written": False, "changes": []}


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
    look = module._look

    def look_and_lose(theirs: zkrpc.Registry, paths: Paths) -> Any:
        stored = look(theirs, paths)
        registry.session.znodes.ensure_path(PATH)
        registry.session.znodes.set(PATH, b'{"timeout_ms": 1}')
        return stored

    monkeypatch.setattr(module, "_look", look_and_lose)
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

    monkeypatch.setattr(Znodes, "create", vanish)
    file = tmp_path / "mine.json"
    file.write_text('{"timeout_ms": 2}')
    with pytest.raises(zkrpc.OutcomeUnknown, match="no answer; see what came of it: zkrpc config show users"):
        module.config.main(["set", "users", str(file), "--force", f"--zookeeper={zookeeper}"], standalone_mode=False)


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
