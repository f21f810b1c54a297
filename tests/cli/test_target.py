"""What is called, and with what, as the command line says it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import click
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.cli.call import call
from zkrpc.cli.target import BadArguments, Target, arguments_for, complete_methods, headers_of, load_interface
from zkrpc.errors import ConfigError

FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)


def test_arguments_come_from_the_command_line_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is read within bounds, and what is wrong with it is one line."""
    target = Target("echo", idl.Echo.methods["slow"], idl.Echo, None, False)
    wanted = {"text": "a", "milliseconds": 5}
    text = json.dumps(wanted)

    def read(json_text: str | None, data: str | None) -> Any:
        return arguments_for(target, "echo.slow", json_text, data, allow_unknown=False)

    (tmp_path / "a.json").write_text("\ufeff" + text)
    (tmp_path / "b.json").write_bytes(b'{"text": "\xff"}')
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert read(text, None) == read(None, text) == read(None, f"@{tmp_path}/a.json") == read(None, "@-") == wanted
    with pytest.raises(BadArguments, match="b.json: not UTF-8"):
        read(None, f"@{tmp_path}/b.json")
    with pytest.raises(BadArguments, match="nowhere: cannot be read: No such file"):
        read(None, f"@{tmp_path}/nowhere")
    with pytest.raises(
        BadArguments, match=r"\$.milliseconds: expected i32, got \"x\"; .*zkrpc call echo.slow --template"
    ):
        read('{"text": "", "milliseconds": "x"}', None)
    with pytest.raises(BadArguments, match=r"\$.text: expected string, but it is missing"):
        read(None, None)


def test_headers_are_names_and_values() -> None:
    """The first equals sign divides them."""
    assert headers_of(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(BadArguments, match="--header"):
            headers_of(wrong)


def test_the_interface_of_a_file_is_the_one_that_has_the_method(tmp_path: Path) -> None:
    """Unless the option names it; where that leaves a choice, the error lists what there is."""
    (tmp_path / "two.thrift").write_text("service A { void a(), void both() } service B { void b(), void both() }")
    file = str(tmp_path / "two.thrift")
    assert load_interface(file, "b").name == "B" and load_interface(f"{file}:A", "b").name == "A"
    for text, method in ((file, "both"), (file, "none"), (f"{file}:C", "a")):
        with pytest.raises(ConfigError, match="has A, B; say which: --idl"):
            load_interface(text, method)


@pytest.mark.zookeeper
def test_methods_are_completed_by_the_published_idl(zookeeper: str) -> None:
    """Of the service that is written out, or of those whose names begin so; without ZooKeeper there are none."""
    context = click.Context(call)
    parameter = call.params[0]

    def offered(begun: str, hosts: str = zookeeper) -> list[str]:
        context.params["zookeeper"] = hosts
        return [item.value for item in complete_methods(context, parameter, begun)]

    with zkrpc.Registry(zookeeper) as registry:
        with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=FAST), zookeeper=registry):
            eventually(lambda: offered("echo.") != [])
            assert offered("echo.") == offered("ec") == [f"echo.{name}" for name in sorted(idl.Echo.methods)]
            assert "echo/zkrpc.Health.check" in offered("echo/") and offered("ehco/") == []
            assert offered("echo/zkrpc.I") == [
                f"echo/zkrpc.Introspection.{name}" for name in ("callers", "lists", "status", "tap")
            ]
            assert offered("echo.p") == ["echo.pair"] and offered("x") == offered("x.y") == []
    assert offered("echo.", "127.0.0.1:1") == []
