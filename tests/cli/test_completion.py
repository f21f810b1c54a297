"""``zkrpc completion``: what a shell offers when somebody presses TAB. It offers nothing where ZooKeeper takes long to
answer, and so the tests press again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

import zkrpc
from tests.support.waiting import eventually
from zkrpc.cli.completion import complete_instances, complete_services
from zkrpc.cli.main import cli

BINARIES = str(Path(sys.executable).parent)


def offered(hosts: str, *words: str, shell: str = "bash") -> tuple[list[str], str]:
    """What is offered for the last word, and what went to standard error."""
    kind = {"bash": "bash_complete", "fish": "fish_complete", "zsh": "zsh_complete"}[shell]
    line = " ".join(("zkrpc", *words))
    environment = {
        **os.environ,
        "_ZKRPC_COMPLETE": kind,
        "COMP_WORDS": line,
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
        "ZKRPC_ZOOKEEPER": hosts,
    }
    command = [sys.executable, "-m", "zkrpc"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0
    rows = [row for row in done.stdout.splitlines() if row]
    if shell == "zsh":
        return rows[1::3], done.stderr
    return [row.split(",", 1)[-1].split("\t")[0] for row in rows], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_each_shell_names_our_program(shell: str) -> None:
    """It asks ``zkrpc`` by the variable that ``zkrpc`` reads; where that shell is there, it accepts the script."""
    done = subprocess.run(
        [sys.executable, "-m", "zkrpc", "completion", shell], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and f"_ZKRPC_COMPLETE={shell}_complete" in done.stdout and done.stderr == ""
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=done.stdout, text=True, timeout=60).returncode == 0


@pytest.mark.zookeeper
def test_bash_completes_commands_options_services_and_instances(zookeeper: str, registry: zkrpc.Registry) -> None:
    """A real bash with the script that is printed."""
    for name in ("users", "usage", "ledger"):
        registry.session.znodes.ensure_path(f"/services/{name}/members")
    program = """eval "$(zkrpc completion bash)"
    press() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _zkrpc_completion zkrpc; }
    ask() { press "$@"; until [ ${#COMPREPLY[@]} -gt 0 ]; do press "$@"; done; echo "${COMPREPLY[*]}"; }
    ask zkrpc compl; ask zkrpc ls us; ask zkrpc ls --js; ask zkrpc config show le; ask zkrpc primary us"""
    environment = {**os.environ, "PATH": f"{BINARIES}:{os.environ['PATH']}", "ZKRPC_ZOOKEEPER": zookeeper}
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout.splitlines() == ["completion", "usage users", "--json", "ledger", "usage users"]
    assert done.stderr == ""


@pytest.mark.zookeeper
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell: str, zookeeper: str, registry: zkrpc.Registry) -> None:
    """In their own forms."""
    registry.session.znodes.ensure_path("/services/users/members/member_a-0")
    found: list[tuple[list[str], str]] = []

    def press() -> bool:
        found[:] = [offered(zookeeper, "ls", "u", shell=shell)]
        return bool(found[0][0] or found[0][1])

    eventually(press)
    assert found == [(["users"], "")]


@pytest.mark.zookeeper
def test_names_that_a_shell_would_run_are_not_offered(zookeeper: str, registry: zkrpc.Registry) -> None:
    """Anybody may have written them into ZooKeeper."""
    for name in ("a-0", "a$(id)", "a b", "a\u202eb"):
        registry.session.znodes.ensure_path(f"/services/users/members/member_{name}")
    registry.session.znodes.ensure_path("/services/a`id`")
    context = click.Context(click.Command("any"))
    context.params = {"zookeeper": zookeeper, "service": "users"}
    parameter = click.Argument(["instance"])

    def names(complete: Callable[[click.Context, click.Parameter, str], list[CompletionItem]], begun: str) -> list[str]:
        offers: list[CompletionItem] = []
        eventually(lambda: offers.extend(complete(context, parameter, begun)) or offers)
        return [item.value for item in offers]

    assert names(complete_instances, "a") == ["a-0"]
    context.params["service"] = None
    assert names(complete_instances, "") == ["a-0"]
    assert names(complete_services, "") == ["users"]


def test_nothing_is_offered_and_nothing_said_without_zookeeper() -> None:
    """A shell has no place for an error."""
    assert offered("127.0.0.1:1", "ls", "u") == ([], "")
    assert offered("?:?:?", "ls", "u") == ([], "")
    assert offered("", "ls", "u") == ([], "")


def test_commands_are_completed_without_zookeeper() -> None:
    """All that are not hidden."""
    names, complaint = offered("", "")
    assert complaint == ""
    assert names == [name for name in cli.list_commands(click.Context(cli)) if name != "worker"]
