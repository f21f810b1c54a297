"""``zkrpc doctor``: what is wrong, with its remedy and a status that scripts can go by."""

from __future__ import annotations

import json
import re

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.commands import all_commands, takes
from zkrpc import compiled
from zkrpc.inspection.checks import CHECKS
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper


def test_remedies_name_commands_that_there_are() -> None:
    """With options that they take."""
    known = {words.split()[0]: command for words, command in all_commands()} | dict(all_commands())
    named = {found for check in CHECKS for found in re.findall(r"zkrpc ([a-z-]+(?: [a-z-]+)*)", check.remedy)}
    assert len(named) >= 5
    for line in named:
        words = [word for word in line.split() if not word.startswith("-")]
        assert all(takes(known[" ".join(words)], option) for option in line.split()[len(words) :]), line


def test_doctor_finds_what_is_wrong_and_says_what_to_do(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """One line for each finding, one for its remedy, and status 1; for programs every check with its status."""
    paths = Paths("users")
    registry.session.znodes.ensure_path(paths.members)
    registry.session.znodes.create(paths.config, b'{"timeout": 1}')
    status, output = command.run("doctor", "--zookeeper", zookeeper)
    lines = output.splitlines()
    assert lines[0] == f"zkrpc {zkrpc.__version__}, {compiled.in_words()}"
    assert status == 1 and "WRONG    service-empty: users has no instance that serves" in lines
    assert any(line.startswith("         remedy: put it right, or take an old one") for line in lines)
    assert lines[-1].startswith(f"{len(CHECKS)} checks of 1 service: ")
    status, output = command.run("doctor", "users", "--json", "--zookeeper", zookeeper)
    told = json.loads(output)
    assert told["zkrpc"] == {"version": zkrpc.__version__, "compiled": compiled.in_use()}
    states = {one["name"]: one["status"] for one in told["checks"]}
    assert status == 1 and states.keys() == {check.name for check in CHECKS} and told["service"] == "users"
    assert (states["config-refused"], states["service-empty"], states["loopback"]) == ("wrong", "wrong", "good")
    assert states["zookeeper-size"] == "wrong" and told["wrong"] >= 3
    status, output = command.run("doctor", "usres", "--zookeeper", zookeeper)
    assert status == 1 and output.startswith("zkrpc: there is no service 'usres' at ")
    status, output = command.run("doctor", "--all", "--zookeeper", zookeeper)
    assert "good     loopback: whether instances register addresses that others can reach" in output.splitlines()
