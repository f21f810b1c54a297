"""``zkrpc stubs``: what it writes, what it leaves alone, and what it says of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import zkrpc
from tests.idl.test_source import write
from tests.support.command import Command
from tests.support.programs import ROOT
from tests.support.waiting import eventually
from zkrpc.cli import stubs as stubs_module
from zkrpc.cli.main import main
from zkrpc.idl.source import digest

FILES = {
    "users.thrift": "include 'shared.thrift'\nstruct User { 1: shared.Id id }\nservice Users { User get() }",
    "shared.thrift": "struct Id { 1: i64 number }",
}
ALL = ["shared_thrift.py", "shared_thrift.pyi", "users_thrift.py", "users_thrift.pyi"]


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Runs ``zkrpc stubs`` in this process: its exit status, and what it wrote."""
    monkeypatch.setattr(sys, "argv", ["zkrpc", "stubs", *arguments])
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two IDL files."""
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_stubs_are_written_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a file and all it includes, beside them; a second time nothing is touched."""
    assert run(capsys, monkeypatch, "users.thrift") == (0, "".join(f"wrote {name}\n" for name in ALL), "")
    before = {name: os.stat(name).st_mtime_ns for name in ALL}
    assert run(capsys, monkeypatch, "users.thrift", "shared.thrift") == (0, "", "")
    assert {name: os.stat(name).st_mtime_ns for name in ALL} == before
    assert sorted(os.listdir()) == sorted([*FILES, *ALL])


def test_stale_stubs_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each with --check, which writes nothing and ends with 1; a formatter's changes make none stale."""
    run(capsys, monkeypatch, "users.thrift")
    Path("shared.thrift").write_text("struct Id { 1: string text }")
    Path("users_thrift.py").unlink()
    Path("shared_thrift.py").write_text(Path("shared_thrift.py").read_text().replace('"', "'").replace("'''", '"""'))
    told = "".join(
        f"{name} is {what}: zkrpc stubs users.thrift\n"
        for name, what in [
            ("shared_thrift.pyi", "out of date"),
            ("users_thrift.py", "missing"),
            ("users_thrift.pyi", "out of date"),
        ]
    )
    assert run(capsys, monkeypatch, "--check", "users.thrift") == (1, told, "")
    assert run(capsys, monkeypatch, "users.thrift")[0] == 0
    assert run(capsys, monkeypatch, "--check", "users.thrift") == (0, "", "")


def test_stubs_can_go_to_one_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is made; modules there find their files."""
    (folder / "idl").mkdir()
    for name in FILES:
        shutil.move(name, "idl")
    status, out, _ = run(capsys, monkeypatch, "idl/users.thrift", "--out", "shop/types", "--json")
    assert status == 0 and json.loads(out) == {"written": [f"shop/types/{name}" for name in ALL], "unchanged": []}
    assert '"../../idl/users.thrift"' in Path("shop/types/users_thrift.py").read_text()
    status, out, _ = run(capsys, monkeypatch, "idl/users.thrift", "--out", "shop/types", "--json", "--check")
    assert status == 0 and json.loads(out) == {"stale": [], "unchanged": [f"shop/types/{name}" for name in ALL]}


def test_file_of_somebody_else_is_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a word on what to do."""
    Path("users_thrift.py").write_text("mine = 1\n")
    status, out, err = run(capsys, monkeypatch, "users.thrift")
    assert (status, out) == (78, "") and err.startswith("zkrpc: users_thrift.py was not written by zkrpc stubs; rename")
    assert Path("users_thrift.py").read_text() == "mine = 1\n"


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["none.thrift"], 78, "zkrpc: none.thrift: cannot be read: No such file or directory"),
        (["bad.thrift"], 78, "zkrpc: bad.thrift:2: "),
        ([], 2, "give either FILE... or --from SERVICE"),
        (["a.thrift", "--from", "users"], 2, "give either FILE... or --from SERVICE"),
        (["--from", "users"], 2, "--from asks ZooKeeper: give --zookeeper HOSTS"),
        (
            ["--from", "users", "--zookeeper=127.0.0.1:1", "--timeout=0.3"],
            1,
            "zkrpc: no ZooKeeper at 127.0.0.1:1 within",
        ),
        (["users.thrift", "--out", "users.thrift"], 78, "zkrpc: users.thrift/shared_thrift.py cannot be written: "),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str],
    status: int,
    told: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing is written then."""
    monkeypatch.delenv("ZKRPC_ZOOKEEPER", raising=False)
    Path("bad.thrift").write_text("struct A {}\nstruct B { what }")
    ended, out, err = run(capsys, monkeypatch, *arguments)
    assert (ended, out) == (status, "") and told in err
    assert sorted(os.listdir()) == ["bad.thrift", *sorted(FILES)]


@pytest.mark.zookeeper
def test_stubs_of_a_service_are_written_with_its_idl(
    zookeeper: str,
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From what it has published, for a caller that has no IDL; a second time all is current."""
    home = write(tmp_path_factory.mktemp("home"), {f"idl/{name}": text for name, text in FILES.items()})
    service = zkrpc.Service(zkrpc.load(home).Users, lambda: SimpleNamespace(get=lambda: None), "users")

    def ask(*options: str, name: str = "users") -> tuple[int, str, str]:
        options = ("--from", name, "--zookeeper", zookeeper, "--timeout=30", "--out=vendored", *options)
        return run(capsys, monkeypatch, *options)

    with zkrpc.serve(service, zookeeper=zookeeper):
        eventually(lambda: ask()[0] == 0)
        assert ask("--check") == (0, "", "")
        Path("vendored/users.thrift").write_text("changed")
        status, out, _ = ask("--check", "--json")
        assert status == 1 and json.loads(out)["stale"] == ["vendored/users.thrift"]
        assert ask() == (0, "wrote vendored/users.thrift\n", "")
        Path("vendored/users_thrift.pyi").write_text("mine = 1")
        assert ask()[0] == 78 and Path("vendored/users_thrift.pyi").read_text() == "mine = 1"
        assert ask(name="usres")[2].endswith("did you mean users?\n")
    for name, text in FILES.items():
        assert Path("vendored", name).read_text() == text + "\n"
    assert "include_dirs" not in Path("vendored/users_thrift.py").read_text()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("//// zkrpc file ../evil.thrift\nservice Users {}\n", "'../evil.thrift', which would be in another folder"),
        ("//// zkrpc file /evil.thrift\nservice Users {}\n", "'/evil.thrift', which would be in another folder"),
        ("//// zkrpc file evil.py\nx\n//// zkrpc file users.thrift\nservice Users {}\n", "does not include"),
        (
            "//// zkrpc file a.thrift/b.thrift\n\n//// zkrpc file a.thrift\n\n"
            "//// zkrpc file users.thrift\ninclude 'a.thrift'\nservice Users {}\n",
            "cannot be laid out as files",
        ),
    ],
)
def test_what_others_published_is_written_nowhere_else(text: str, refusal: str, folder: Path) -> None:
    """Nor is anything that is no part of the IDL."""
    interface = zkrpc.Interface("Users", {}, file="users.thrift", text=text, digest=digest(text))
    with pytest.raises(zkrpc.RemoteProtocolError, match=refusal):
        stubs_module._vendored(interface, "out", top_level=False)
    assert sorted(os.listdir()) == sorted(FILES)


def test_program_of_modules_runs(folder: Path, command: Command) -> None:
    """What was written is imported and called as a package, in a process of its own, without any other preparation."""
    package = folder / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in FILES:
        shutil.copy(name, package)
    assert command.run("stubs", str(package / "users.thrift"))[0] == 0
    (folder / "program.py").write_text(
        "from shop.users_thrift import User, UsersClient, shared\n"
        "import shop.shared_thrift as other\n"
        "def show(users: UsersClient) -> User: ...\n"
        "print(User(shared.Id(7)), other.Id is shared.Id, show.__annotations__['return'] is User)\n"
    )
    program = command.python(str(folder / "program.py"), folder=folder, PYTHONPATH=f"{folder}:{ROOT}")
    assert (program.wait(), program.output) == (0, "User(id=Id(number=7)) True True\n")
