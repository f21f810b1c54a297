"""Every instance is asked, directly, and who does not answer is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

import zkrpc
from tests.support.certificates import SERVER_NAMES, Files
from tests.support.echo import EchoHandler, idl
from tests.support.scripted_servers import closed_port
from tests.support.worlds import World
from zkrpc.cli.worker import override_config
from zkrpc.client.inquiry import ask_all, ask_callers, usage_of


@pytest.fixture
def apps() -> Iterator[list[zkrpc.App]]:
    """Two served processes' worth of servers; one of them tells nothing."""
    made = [
        zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0, introspection=on)))
        for on in (True, True, False)
    ]
    yield made
    for app in made:
        app.kill()


def instance(name: str, endpoint: zkrpc.Endpoint, *protocols: str) -> zkrpc.Instance:
    """As it is registered."""
    return zkrpc.Instance(id=name, endpoint=endpoint, protocols=protocols or ("zkrpc",))


def test_callers_of_all_instances(apps: list[zkrpc.App], world: World) -> None:
    """With the reasons of those that do not tell: it is down, hangs, is switched off, or of another kind."""
    for app in apps[:2]:
        with world.connect(idl.Echo, [app.endpoint], config=zkrpc.ClientConfig(name="billing", version="2")) as stub:
            stub.echo("x")
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        places = [zkrpc.Endpoint(*hanging.getsockname()), closed_port()]
        found = [instance(f"w{number}", app.endpoint) for number, app in enumerate(apps)]
        found += [instance("hangs", places[0]), instance("gone", places[1])]
        found.append(instance("foreign", places[0], "framed"))
        report = ask_callers("echo", found, timeout=3.0)
    (billing,) = report.callers
    assert (billing.name, billing.version, billing.calls, billing.instances) == ("billing", "2", 2, 2)
    assert list(report.answered) == ["w0", "w1"]
    assert set(report.silent) == {"w2", "hangs", "gone", "foreign"}
    assert "introspection is off" in report.silent["w2"] and report.silent["foreign"] == "it is not zkrpc's"


def test_worker_trusts_its_own_certificate_when_it_asks_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has issued it; the authorities that it was given are those of its clients."""
    monkeypatch.setattr("zkrpc.tls.settings._asking", {})
    files = Files(tmp_path)
    certificate, key = files.issue("server", *SERVER_NAMES, by="others")
    service = zkrpc.Service(idl.Echo, EchoHandler)
    override_config(service, linger=0, drain_timeout=None, tls=zkrpc.ServerTls(certificate=certificate, key=key))
    with zkrpc.serve(service) as app:
        found = zkrpc.Instance(id="w", endpoint=app.endpoint, protocols=("zkrpc",), tls=True)
        assert ask_callers("echo", [found], timeout=30.0).silent == {}


def test_few_are_asked_at_a_time_and_none_after_the_time_is_over(apps: list[zkrpc.App]) -> None:
    """Of many instances that take their time, those that come too late are not asked at all."""
    running, most = 0, 0

    def slow(stub: Any) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gevent.sleep(0.5)
        running -= 1
        return "told"

    found = [instance(f"w{number}", apps[0].endpoint) for number in range(40)]
    answers, silent = ask_all(found, slow, timeout=4.0, at_once=4)
    assert most == 4 and 4 <= len(answers) < 40 and len(answers) + len(silent) == 40
    assert set(silent.values()) == {"there was no time left to ask it"}


def test_callers_of_a_method_are_known_only_if_they_are_seen_or_all_have_told(
    apps: list[zkrpc.App], world: World
) -> None:
    """That nobody calls it can only be said if no instance is silent."""
    for version in ("1", "2"):
        config = zkrpc.ClientConfig(name="billing", version=version)
        with world.connect(idl.Echo, [apps[0].endpoint], config=config) as stub:
            stub.echo("x")
    telling = [instance(f"w{number}", app.endpoint) for number, app in enumerate(apps[:2])]
    silent = instance("w2", apps[2].endpoint)
    assert usage_of(telling, ["echo", "slow"]) == {"echo": {"billing 1": 1, "billing 2": 1}, "slow": {}}
    assert usage_of([*telling, silent], ["echo", "slow"]) == {"echo": {"billing 1": 1, "billing 2": 1}}
