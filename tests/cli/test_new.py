"""``zkrpc new``: a project that passes its own tests, or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Command
from zkrpc.cli import new as new_module
from zkrpc.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> int:
    """Types ``zkrpc new`` in this process; its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["zkrpc", "new", *arguments])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


def files_in(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.zookeeper
def test_project_passes_its_tests(command: Command, tmp_path: Path) -> None:
    """As it was generated, types and tests on a real ZooKeeper included, in an environment that has zkrpc."""
    status, output = command.run("new", "order_book", folder=tmp_path)
    assert status == 0 and output.endswith("next: cd order_book && scripts/test\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    program = command.program("order_book/scripts/test", folder=tmp_path, PATH=path)
    assert program.wait(400) == 0, program.output
    assert "Success: no issues found" in program.output and "4 passed" in program.output


def test_project_is_formatted(folder: Path) -> None:
    """As black and isort have it, so that the first commit of a newcomer is about something else."""
    assert new("order_book") == 0
    for tool in (["black", "-l", "120"], ["isort", "--profile", "black", "-l", "120", "-p", "order_book"]):
        done = subprocess.run(
            [sys.executable, "-m", *tool, "--check", "--diff", "order_book"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout


def test_what_was_written_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line, or as an object."""
    assert new("first") == 0 and new("second", "--json") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert told == {"folder": str(folder / "second"), "files": files_in(folder / "second")}
    assert lines == [*(f"wrote first/{name}" for name in files_in(folder / "first")), "next: cd first && scripts/test"]
    assert "first/first_thrift.pyi" in files_in(folder / "first")
    assert os.access("first/scripts/test", os.X_OK) and not os.access("first/README.md", os.X_OK)


def test_name_that_is_no_package_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit status 2 and a better name, and nothing is written."""
    assert new("Order-Book") == 2 and "did you mean order_book?" in capsys.readouterr().err
    assert new("click") == 2 and "an installed package has this name" in capsys.readouterr().err
    assert files_in(folder) == []


def test_existing_folder_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it is empty."""
    (folder / "mine").mkdir()
    (folder / "mine" / "work").write_text("mine")
    (folder / "file").write_text("mine")
    (folder / "empty").mkdir()
    assert new("mine") == 1 and "mine is there already, and not empty" in capsys.readouterr().err
    assert new("file") == 1 and new("empty") == 0
    assert files_in(folder / "mine") == ["work"] and "README.md" in files_in(folder / "empty")


def test_project_is_written_as_a_whole_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails on the way."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_module, "stubs_of", fail)
    assert new("shop") == 1
    assert capsys.readouterr().err == "zkrpc: shop cannot be written: No space left on device\n"
    assert list(folder.iterdir()) == []
