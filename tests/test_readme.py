"""README's tutorial is true: what it shows is what is in the repository, and what it says to type works."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zkrpc
from tests.support.programs import ROOT, Programs
from tests.support.waiting import eventually
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config

_EXAMPLE_HOSTS = "127.0.0.1:23456"


def blocks(language: str) -> list[str]:
    """The tutorial's code blocks of a language, as written."""
    tutorial = (ROOT / "README.md").read_text().partition("\n## Tutorial\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", tutorial, flags=re.DOTALL | re.MULTILINE)


def declarations(text: str) -> dict[str, list[str]]:
    """What each struct, exception and service of an IDL consists of; comments and layout do not count."""
    bare = " ".join(re.sub(r"//.*", "", text).split())
    found = re.findall(r"((?:struct|exception|service|enum) \w+) \{ (.*?),? \}", bare)
    # Parts are separated by commas that are not within brackets.
    return {head: [part.strip() for part in re.split(r",(?![^(\[<]*[)\]>])", body)] for head, body in found}


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs that end with the test."""
    started = Programs(tmp_path)
    yield started
    started.close()


def test_readme_shows_what_the_interface_declares() -> None:
    """Some of the IDL, but nothing that is not in it."""
    (shown,) = blocks("thrift")
    real = declarations((ROOT / "idl" / "users.thrift").read_text())
    excerpt = declarations(shown)
    assert list(excerpt) == ["struct User", "exception UserNotFound", "service Users"]
    for head, parts in excerpt.items():
        assert parts and set(parts) <= set(real[head]), head


def test_readme_shows_the_service() -> None:
    """The example, to the letter."""
    assert blocks("python")[0] == (ROOT / "examples" / "users.py").read_text()


def test_examples_have_the_types_of_their_interfaces(programs: Programs) -> None:
    """Each imports the module of its IDL, whose stub says what the IDL does."""
    files = sorted((ROOT / "idl").glob("*.thrift"))
    for name in (file.stem for file in files):
        assert f"from idl import {name}_thrift as idl\n" in (ROOT / "examples" / f"{name}.py").read_text()
    checking = programs.python("-m", "zkrpc", "stubs", "--check", *map(str, files))
    assert checking.wait() == 0, checking.output


@pytest.mark.parametrize("name", ["users", "ledger"])
def test_examples_keep_their_data_where_nobody_else_writes(name: str, programs: Programs, tmp_path: Path) -> None:
    """In the folder for everybody's temporary files anybody could have put a database of that name before."""
    look = f"import examples.{name} as example; print(example.DATABASE)"
    program = programs.python("-c", look, HOME=str(tmp_path), **{f"{name.upper()}_DATABASE": ""})
    assert program.wait() == 0 and Path(program.output.strip()).parent == tmp_path


@pytest.mark.zookeeper
def test_readme_can_be_followed(programs: Programs, zookeeper: str, tmp_path: Path) -> None:
    """Serve, list and call as written, then the client with this connect string; it prints what its comments say."""
    with zkrpc.Registry(zookeeper) as registry:  # Calls may take longer here than the IDL says.
        assert registry.session.wait_connected(60)
        methods = {name: zkrpc.MethodConfig(timeout=60.0) for name in ("get", "find", "whoami")}
        place = Paths("users").config
        registry.session.znodes.ensure_path(place)
        registry.session.znodes.set(place, dump_service_config(zkrpc.ServiceConfig(methods=methods)))
    serve, show, call = blocks("sh")[1].splitlines()
    assert serve.startswith("zkrpc serve ") and show.startswith("zkrpc ls ")
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "ZK": zookeeper}
    serving = programs.start("/bin/sh", "-c", f"exec {serve}", USERS_DATABASE=str(tmp_path / "users.sqlite"), **path)

    def listed() -> str:
        listing = programs.start("/bin/sh", "-c", show, **path)
        return listing.output if listing.wait() == 0 else ""

    eventually(lambda: listed().startswith("users: 3 instances\n"), 60)
    calling = programs.start("/bin/sh", "-c", call, **path)
    assert calling.wait() == 0 and json.loads(calling.output)["name"] == "Ada", calling.output
    client = blocks("python")[1]
    assert client.count(_EXAMPLE_HOSTS) == 1
    running = programs.python("-c", client.replace(_EXAMPLE_HOSTS, zookeeper))
    assert running.wait() == 0, running.output
    promised = re.findall(r"print\(.*  # (.*)$", client, flags=re.MULTILINE)
    printed = running.output.splitlines()
    assert len(printed) == len(promised) == 3
    assert all(promise.startswith(line) for line, promise in zip(printed, promised)), printed
    serving.process.terminate()
    assert serving.wait() == 0


@pytest.mark.zookeeper
def test_readme_has_a_primary_step_down(programs: Programs, zookeeper: str, tmp_path: Path) -> None:
    """The ledger is served, its primary shown, and led by another after it was asked to step down, all as written."""
    serve, show, step_down = blocks("sh")[2].splitlines()
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "ZK": zookeeper}
    serving = programs.start("/bin/sh", "-c", f"exec {serve}", LEDGER_DATABASE=str(tmp_path / "l.sqlite"), **path)

    def said(command: str) -> str:
        running = programs.start("/bin/sh", "-c", command, **path)
        return running.output if running.wait() == 0 else ""

    def epoch(text: str) -> int:
        found = re.search(r"epoch (\d+)", text)
        return int(found[1]) if found else 0

    eventually(lambda: epoch(said(show)), 60)
    first = epoch(said(show))
    eventually(lambda: epoch(said(step_down)) > first, 60)
    assert epoch(said(show)) > first
    serving.process.terminate()
    assert serving.wait() == 0
