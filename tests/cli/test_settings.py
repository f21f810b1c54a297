"""Settings of ``zkrpc serve`` from variables and from a file: which one wins, and what is wrong with one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.support.programs import ROOT
from zkrpc.cli.serve import serve
from zkrpc.cli.settings import LARGEST_FILE, options_of, settings_options, variable_of
from zkrpc.errors import ConfigError


@click.command()
@click.argument("target")
@click.option("--bind", default="127.0.0.1:0")
@click.option("--max-age", type=float)
@click.option("--limit", "limits", multiple=True)
@click.option("--reload", is_flag=True)
@click.option("-v", "--verbose", count=True)
def command(**given: Any) -> None:
    """Shows what it was given."""
    click.echo(repr(given))


COMMAND = settings_options(command)


def given(*arguments: str, file: str | None = None, folder: Path, **environment: str) -> dict[str, Any]:
    """What the command is given."""
    if file is not None:
        (folder / "zkrpc.toml").write_text(file)
        arguments = (*arguments, "--config", str(folder / "zkrpc.toml"))
    done = CliRunner().invoke(COMMAND, ["users", *arguments], env=environment)
    if done.exception is not None:
        raise done.exception
    told: dict[str, Any] = eval(done.output)
    return told


def test_flag_wins_over_variable_and_variable_over_file(tmp_path: Path) -> None:
    """And the file over the default; by any of the three, and for each setting by itself."""
    file = 'bind = "file:1"\nmax-age = 60\nverbose = 2\nreload = true\n[limit]\nmax_elements = 5\naccept_zlib = true\n'
    told = {"target": "users", "bind": "file:1", "max_age": 60.0, "verbose": 2, "reload": True}
    told["limits"] = ("max_elements=5", "accept_zlib=true")
    assert given(file=file, folder=tmp_path) == told
    assert given(file=file, folder=tmp_path, ZKRPC_BIND="env:1") == told | {"bind": "env:1"}
    assert given("--bind=flag:1", file=file, folder=tmp_path, ZKRPC_BIND="env:1") == told | {"bind": "flag:1"}
    assert given(folder=tmp_path, ZKRPC_CONFIG=str(tmp_path / "zkrpc.toml")) == told
    none = {"bind": "127.0.0.1:0", "max_age": None, "verbose": 0, "reload": False, "limits": ()}
    assert given(folder=tmp_path) == {"target": "users"} | none
    assert given(file='max_age = 1.5\nlimit = ["a=1"]', folder=tmp_path)["limits"] == ("a=1",)


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("max-agee = 1", "there is no setting 'max-agee'; did you mean max-age?"),
        ("colour = 1", "there is no setting 'colour'; there are bind, limit, max-age, reload, verbose"),
        ("config = 'x'", "there is no setting 'config'"),
        ("target = 'x'", "there is no setting 'target'"),
        ("bind = ", "is no TOML: Invalid value"),
        ("bind = true", "bind must be a text or a number, got True"),
        ("bind = ['a']", "bind must be a text or a number, got ['a']"),
        ("reload = 1", "reload must be true or false, got 1"),
        ("limit = 5", "limit must be a table, or a list of texts NAME=VALUE, got 5"),
        ("limit = [5]", "limit must be a table, or a list of texts NAME=VALUE, got [5]"),
        ("[limit]\na = []", "limit must hold numbers, texts, true and false, got []"),
        ("#" * (LARGEST_FILE + 1), "more than 1048576 bytes are no file of settings"),
    ],
)
def test_file_that_is_wrong_is_refused_in_one_line(file: str, complaint: str, tmp_path: Path) -> None:
    """With the file, the setting, and what is there instead."""
    with pytest.raises(ConfigError) as caught:
        given(file=file, folder=tmp_path)
    assert complaint in str(caught.value) and "zkrpc.toml" in str(caught.value)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Not there, a folder, or no text; and a value of the wrong kind is the option's to explain."""
    for path, complaint in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=complaint):
            given("--config", str(path), folder=tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is no TOML"):
        given("--config", str(tmp_path / "bytes"), folder=tmp_path)
    with pytest.raises(SystemExit):
        given(file='max-age = "soon"', folder=tmp_path)


def test_page_has_every_setting_of_serve_in_one_table() -> None:
    """Its flag, its variable and its name in the file; and none that is not there."""
    page = (ROOT / "docs" / "services.md").read_text().partition("\n## Settings from outside\n")[2]
    rows = re.findall(r"^\| `--([a-z-]+)` \| `(ZKRPC_[A-Z_]+)` \| `([a-z-]+)` \|", page, re.MULTILINE)
    options = options_of(serve)
    assert sorted(rows) == sorted((name, variable_of(one), name) for name, one in options.items())
    assert {one.envvar for one in options.values()} == {variable_of(one) for one in options.values()}
