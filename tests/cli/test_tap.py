"""``zkrpc tap``: calls as they are served, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from examples.users import idl
from tests.support.command import Command, await_registered

pytestmark = pytest.mark.zookeeper


@pytest.fixture
def calls(command: Command, zookeeper: str, registry: zkrpc.Registry) -> Iterator[None]:
    """Two workers, and a caller that goes on calling both."""
    command.serve(zookeeper, "--id=pair", "--workers=2")
    await_registered(registry, 2)
    config = zkrpc.ClientConfig(name="billing", balancing="round_robin")

    def go_on(stub: Any) -> None:
        while True:
            stub.get(42)
            stub.find("A", 1)
            gevent.sleep(0.02)

    with zkrpc.connect(idl.Users, "users", zookeeper=registry, config=config) as stub:
        calling = gevent.spawn(go_on, stub)
        yield
        calling.kill()


def test_tap_shows_who_calls_what(calls: None, command: Command, zookeeper: str) -> None:
    """All methods of all instances or one method, until there are as many as wanted."""
    status, output = command.run("tap", "users", "--limit=40", "--json", "--zookeeper", zookeeper)
    lines = output.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert status == 0 and len(told) == 40 and {one["method"] for one in told} == {"get", "find"}
    assert {one["caller"] for one in told} == {"billing"} and len({one["instance"] for one in told}) == 2
    assert "40 calls shown of " in lines[-1]
    status, output = command.run("tap", "users.get", "--limit=3", "--for=60", "--zookeeper", zookeeper)
    shown = [line.split() for line in output.splitlines() if " billing " in line]
    assert status == 0 and [(words[4], words[-1]) for words in shown] == [("get", "ok")] * 3


def test_tap_ends_after_its_time(calls: None, command: Command, zookeeper: str) -> None:
    """With what was seen of a sample."""
    status, output = command.run("tap", "users", "--sample=0.1", "--for=3", "--zookeeper", zookeeper)
    assert status == 0 and " seen, 0 dropped" in output.splitlines()[-1]


@pytest.mark.parametrize("what", ["nobody there", "unknown", "no instances", "nobody tells", "no such method"])
def test_tap_fails_in_one_line(what: str, command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Whatever is missing is named."""
    registry.session.znodes.ensure_path("/services/users/members")
    at = f"--zookeeper={zookeeper}"
    if what in ("nobody tells", "no such method"):
        command.serve(zookeeper, *(["--limit=introspection=false"] if what == "nobody tells" else []))
        await_registered(registry, 1)
    arguments, complaint = {
        "nobody there": (["users", "--zookeeper=127.0.0.1:1", "--timeout=0.3"], "no ZooKeeper at 127.0.0.1:1"),
        "unknown": (["nosuch.get", at], "there is no service 'nosuch'"),
        "no instances": (["users", at], "users has no instances to be tapped"),
        "nobody tells": (["users", at], "no instance lets itself be tapped: of an earlier version, or"),
        "no such method": (["users.nosuch", at], "no instance lets itself be tapped: there is no method nosuch"),
    }[what]
    status, output = command.run("tap", *arguments)
    lines = [line for line in output.splitlines() if line.startswith("zkrpc: ")]
    assert status == 1 and len(lines) == 1 and complaint in lines[0] and "Traceback" not in output
