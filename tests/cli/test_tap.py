"""``zkrpc tap``: calls as they are served, for people and for programs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from examples.users import idl
from tests.cli.test_call import Ended
from tests.support.command import Command, await_registered
from tests.support.echo import EchoHandler
from tests.support.echo import idl as echo
from tests.support.waiting import eventually
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper


@pytest.fixture
def calls(command: Command, zookeeper: str, registry: zkrpc.Registry) -> Iterator[None]:
    """Two workers, and a caller that goes on calling both."""
    command.serve(zookeeper, "--id=pair", "--workers=2")
    await_registered(registry, 2)
    config = zkrpc.ClientConfig(name="billing", balancing="round_robin", timeout=60)

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


@pytest.fixture
def bank(registry: zkrpc.Registry) -> Iterator[zkrpc.App]:
    """A service that lets two of its methods be looked at, and a caller that goes on calling both."""
    service = zkrpc.Service(
        echo.Echo,
        EchoHandler,
        name="bank",
        config=zkrpc.ServerConfig(linger=0, drain_timeout=2),
        tap_bodies=["echo", "fail"],
        tap_masked=["Oops.why"],
    )

    def go_on(stub: Any) -> None:
        while True:
            stub.echo("9007199254740993")
            with contextlib.suppress(echo.Oops):
                stub.fail("declared")
            gevent.sleep(0.02)

    with zkrpc.serve(service, zookeeper=registry, worker_id="b-0") as app:
        assert app.registrar is not None
        app.registrar.wait_registered(60)
        with zkrpc.connect(echo.Echo, [str(app.endpoint)]) as stub:
            calling = gevent.spawn(go_on, stub)
            yield app
            calling.kill()


def tap(*arguments: str, zookeeper: str, folder: Path) -> Ended:
    """``zkrpc tap``, beside this process, which serves."""
    return Ended("tap", *arguments, "--zookeeper", zookeeper, folder=folder)


def test_tap_shows_what_was_asked_and_answered(bank: zkrpc.App, zookeeper: str, tmp_path: Path) -> None:
    """For people below the call, for programs as values; what is masked is shown as such."""
    done = tap("bank", "--bodies", "--limit=4", "--for=60", zookeeper=zookeeper, folder=tmp_path)
    lines = done.out.splitlines()
    assert done.status == 0 and '  asked    {"text": "9007199254740993"}' in lines, done
    assert '  answered "9007199254740993"' in lines
    assert '  raised   {"type": "Oops", "value": {"why": "<masked>"}}' in lines
    done = tap("bank.fail", "--bodies", "--limit=1", "--for=60", "--json", zookeeper=zookeeper, folder=tmp_path)
    told = json.loads(done.out)
    assert (told["arguments"], told["result"], told["cut"]) == ({"how": "declared"}, None, False)
    assert told["exception"] == {"type": "Oops", "value": {"why": "<masked>"}}
    done = tap("bank.fail", "--limit=1", "--for=60", "--json", zookeeper=zookeeper, folder=tmp_path)
    assert not {"arguments", "result", "exception", "cut"} & set(json.loads(done.out))


def test_operators_narrow_what_is_shown_while_it_runs(
    bank: zkrpc.App, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path
) -> None:
    """By the service's config; the refusal says who has said so."""
    config = Paths("bank").config
    registry.session.znodes.create(config, b'{"tap": {"masked": ["text", "echo.result"]}}')
    eventually(lambda: bank.server.taps.bodies.arguments("echo", ("x",)).text == '{"text": "<masked>"}')
    done = tap("bank.echo", "--bodies", "--limit=1", "--for=60", "--json", zookeeper=zookeeper, folder=tmp_path)
    assert (json.loads(done.out)["arguments"], json.loads(done.out)["result"]) == ({"text": "<masked>"}, "<masked>")
    registry.session.znodes.set(config, b'{"tap": {"bodies": false}}')
    eventually(lambda: not bank.server.taps.bodies.allows("echo"))
    done = tap("bank.echo", "--bodies", "--for=60", zookeeper=zookeeper, folder=tmp_path)
    assert done.status == 1 and "bodies are not shown: the service's config in ZooKeeper switches it off" in done.err
    assert done.err.splitlines()[-1].startswith("zkrpc: no instance lets itself be tapped: ")
    done = tap("bank.slow", "--bodies", "--for=60", "--json", zookeeper=zookeeper, folder=tmp_path)
    assert done.status == 1 and "does not allow bodies of slow to be shown" in done.told["error"]["message"]
    registry.session.znodes.set(config, b"{}")
    eventually(lambda: bank.server.taps.bodies.allows("echo"))
