"""``zkrpc idl``: versions of an IDL compared, as files and as they are served."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.echo import EchoHandler, idl
from tests.support.programs import ROOT
from tests.support.waiting import eventually
from zkrpc.cli.idl import render
from zkrpc.idl.compatibility import RULES, Break
from zkrpc.registry.schema import Paths

ECHO = ROOT / "tests" / "support" / "echo.thrift"
OLD = "struct User {\n  1: i64 id\n}\nservice Users {\n  User get(1: i64 id)\n  void put(1: User user)\n}\n"
NEW = "struct User {\n  1: i32 id\n}\nservice Users {\n  User get(1: i64 id)\n}\n"


@pytest.fixture
def check(command: Command, tmp_path: Path) -> Any:
    """Types ``zkrpc idl check`` in a folder with old.thrift and new.thrift."""
    (tmp_path / "old.thrift").write_text(OLD)
    (tmp_path / "new.thrift").write_text(NEW)
    return lambda *arguments, **environment: command.run("idl", "check", *arguments, folder=tmp_path, **environment)


def test_breaks_are_told_with_place_reason_and_remedy(check: Any) -> None:
    """One line each, then what to do and which methods it concerns; the exit status is 1."""
    status, text = check("old.thrift", "new.thrift")
    assert status == 1
    assert text.splitlines() == [
        "new.thrift:2: type-changed: User.id became i32, it was i64: the other side skips it, or reads something else",
        f"    instead: {RULES['type-changed'].remedy}",
        "    before: old.thrift:2",
        "    concerns Users.get",
        "old.thrift:6: method-removed: Users.put is gone: calls of it are answered with UnknownMethod",
        f"    instead: {RULES['method-removed'].remedy}",
        "new.thrift: 2 breaks",
    ]


def test_breaks_are_told_as_json(check: Any) -> None:
    """One object, with everything that the text has."""
    status, text = check("old.thrift", "new.thrift", "--json")
    told = json.loads(text)
    assert status == 1 and not told["compatible"] and told["level"] == "policy"
    assert [(some["rule"], some["file"], some["line"], some["severity"]) for some in told["breaks"]] == [
        ("type-changed", "new.thrift", 2, "error"),
        ("method-removed", "old.thrift", 6, "error"),
    ]
    assert told["breaks"][0]["methods"] == ["Users.get"] and told["breaks"][0]["before"] == "old.thrift:2"


def test_compatible_version_is_none_the_worse_for_warnings(check: Any, tmp_path: Path) -> None:
    """They are told, and the exit status is 0."""
    (tmp_path / "new.thrift").write_text("typedef i64 Id\n" + OLD.replace("get(1: i64 id)", "get(1: Id id)"))
    status, text = check("old.thrift", "new.thrift")
    assert status == 0 and "spelling-changed" in text and "(a warning)" in text
    assert text.splitlines()[-1] == "new.thrift: compatible, 1 warning"
    assert check("old.thrift", "old.thrift") == (0, "old.thrift: compatible\n")


def test_level_says_how_much_is_demanded(check: Any, tmp_path: Path) -> None:
    """A name is no matter of the wire."""
    (tmp_path / "new.thrift").write_text(OLD.replace("1: i64 id\n", "1: i64 key\n"))
    assert [check("old.thrift", "new.thrift", "--level", level)[0] for level in ("wire", "json")] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.thrift", "new.thrift"], "zkrpc: missing.thrift: cannot be read: No such file"),
        (["old.thrift", "bad.thrift"], "zkrpc: bad.thrift:1: expected"),
        (["registry:users", "new.thrift"], "registry:SERVICE needs --zookeeper"),
        (["old.thrift", "new.thrift", "--level", "none"], "Invalid value for '--level'"),
    ],
)
def test_what_cannot_be_compared_has_a_status_of_its_own(
    check: Any, tmp_path: Path, arguments: list[str], said: str
) -> None:
    """So that a script does not take it for a break."""
    (tmp_path / "bad.thrift").write_text("struct {")
    status, text = check(*arguments)
    assert status == 2 and said in text
    status, text = check(*arguments, "--json")
    assert status == 2 and json.loads(text)["error"]["exit_status"] == 2


def test_included_files_are_found_where_the_option_says(check: Any, tmp_path: Path) -> None:
    """Beside the file that includes them, or there."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "base.thrift").write_text("struct A {}\n")
    (tmp_path / "new.thrift").write_text('include "base.thrift"\n' + OLD)
    assert check("old.thrift", "new.thrift")[0] == 2
    assert check("old.thrift", "new.thrift", "-I", "parts")[0] == 0


@pytest.mark.parametrize("command_line", [("idl", "check", "registry:users", str(ECHO)), ("idl", "show", "users")])
def test_zookeeper_that_is_down_is_told_in_one_line(command: Command, command_line: tuple[str, ...]) -> None:
    """Within five seconds, of which two are ours to wait here."""
    begun_at = time.monotonic()
    status, text = command.run(*command_line, "--zookeeper", "127.0.0.1:1", "--timeout", "2")
    assert status == (2 if "check" in command_line else 1) and len(text.splitlines()) == 1
    assert text.startswith("zkrpc: no ZooKeeper at 127.0.0.1:1 within 2 s") and time.monotonic() - begun_at < 60


@pytest.mark.zookeeper
def test_what_is_served_is_shown_and_compared(
    command: Command, registry: zkrpc.Registry, zookeeper: str, tmp_path: Path
) -> None:
    """The published text of the newest instance, without its file; only the interface counts that is served."""
    new = tmp_path / "new.thrift"
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))
    with zkrpc.serve(service, zookeeper=registry):
        eventually(lambda: registry.session.znodes.exists(Paths("echo").publication))
        status, text = command.run("idl", "show", "echo", ZKRPC_ZOOKEEPER=zookeeper)
        assert status == 0 and text.rstrip("\n") == ECHO.read_text().rstrip("\n")
        told = json.loads(command.run("idl", "show", "echo", "--json", ZKRPC_ZOOKEEPER=zookeeper)[1])
        assert told["text"] == ECHO.read_text() and told["digest"] == idl.Echo.digest
        same = command.run("idl", "check", "registry:echo", str(ECHO), ZKRPC_ZOOKEEPER=zookeeper)
        assert same == (0, f"{ECHO}: compatible\n")
        new.write_text("service Echo {}\n")
        status, text = command.run("idl", "check", "registry:echo", str(new), ZKRPC_ZOOKEEPER=zookeeper)
        assert status == 1 and "echo.thrift:" in text and "method-removed: Echo.echo is gone" in text
        new.write_text("service Other {}\n")
        status, text = command.run("idl", "check", "registry:echo", str(new), ZKRPC_ZOOKEEPER=zookeeper)
        assert status == 2 and "no service Echo to compare" in text
    status, text = command.run("idl", "show", "ecoh", ZKRPC_ZOOKEEPER=zookeeper)
    assert status == 1 and "did you mean echo?" in text


def test_many_methods_are_counted() -> None:
    """A type that everything uses does not fill the screen."""
    some = Break(
        rule=RULES["type-changed"],
        subject="A.x",
        change="became i32",
        file="a.thrift",
        line=1,
        before="",
        methods=tuple(f"S.m{n}" for n in range(9)),
    )
    assert list(render([some]))[-1] == "    concerns S.m0, S.m1, S.m2, S.m3, S.m4, S.m5 and 3 more"
