"""The admin doors of ``zkrpc serve``: real processes, a real ZooKeeper."""

from __future__ import annotations

import re
import signal
import socket
import urllib.error
import urllib.request

import pytest

import zkrpc
from tests.support.command import SERVICE, Command, await_registered, registered
from tests.support.waiting import eventually
from zkrpc.server.supervision import EXIT_CONFIG


def page(url: str, *, timeout: float = 60.0) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_serve_answers_probes_and_prometheus(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Each worker at a door of its own, which is registered beside it, and the supervisor for all of them."""
    program = command.serve(zookeeper, "--workers=2", "--id=me", "--linger=60")
    await_registered(registry, 2)
    found = re.search(r"metrics of all workers at (\S+)", program.output)
    assert found is not None
    eventually(lambda: page(f"{found[1]}/readyz") == (200, "ok\n"))
    doors = {instance.id: instance.admin for instance in registered(registry).values()}
    for number in (0, 1):
        door = doors[f"me-{number}"]
        assert door is not None and door.host == "127.0.0.1"
        status, text = page(f"http://{door}/metrics")
        assert status == 200 and 'zkrpc_registered{service_name="users"} 1.0' in text
        assert page(f"http://{door}/readyz") == (200, "ok\n")
    status, text = page(f"{found[1]}/metrics")
    for number in (0, 1):
        assert f'zkrpc_worker_up{{worker="{number}"}} 1' in text
        assert f'zkrpc_registered{{worker="{number}",service_name="users"}} 1.0' in text
    assert status == 200 and text.count("# TYPE zkrpc_registered gauge") == 1
    program.tell(signal.SIGTERM)
    eventually(lambda: page(f"{found[1]}/readyz") != (200, "ok\n"))
    assert page(f"{found[1]}/readyz")[0] == 503 and page(f"{found[1]}/livez") == (200, "ok\n")
    program.tell(signal.SIGQUIT)
    assert program.wait() == 0


def test_serve_without_doors(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Nothing is registered beside the instance, and nothing listens."""
    program = command.serve(zookeeper, "--id=me", "--admin=off")
    await_registered(registry, 1)
    assert registered(registry)["me-0"].admin is None and "metrics of all" not in program.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--admin=0.0.0.0:0"], "can be reached from other hosts, which needs a token"),
        (["--admin=nonsense"], "'nonsense' is not an endpoint"),
        (["--admin=127.0.0.1:{taken}"], "the admin door cannot listen on 127.0.0.1:{taken}: Address already"),
        (["--admin-token-file=/nowhere/token"], "cannot read the admin token from /nowhere/token: "),
    ],
)
def test_door_that_cannot_be_is_told_at_the_start(command: Command, arguments: list[str], complaint: str) -> None:
    """In one line, and nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        status, output = command.run("serve", SERVICE, *(one.format(taken=taken) for one in arguments))
    assert status == EXIT_CONFIG
    (line,) = [line for line in output.splitlines() if line.startswith("zkrpc: ")]
    assert complaint.format(taken=taken) in line
