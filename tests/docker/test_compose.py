"""docker-compose.yml as a user meets it: it comes up, calls arrive, and they go on arriving while parts of it die."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Project, wait_until

pytestmark = pytest.mark.docker

_ZOOKEEPER = "zk1:2181,zk2:2181,zk3:2181"
# A call gets longer than the IDL's 0.2 s: a killed container does not refuse a connection, it is silent, and a caller
# who happens to dial it first needs the time to give up and to turn to another replica.
_CALLER = f"""
import json, sys, gevent, zkrpc, time
idl = zkrpc.load("idl/users.thrift")
answered, failures, pauses = {{}}, [], []
with zkrpc.connect(idl.Users, "users", zookeeper="{_ZOOKEEPER}") as users:
    users.options(timeout=15).whoami()
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        started_at = time.monotonic()
        try:
            who = users.options(timeout=2).whoami()
            answered[who] = answered.get(who, 0) + 1
        except zkrpc.RpcError as error:
            failures.append(repr(error))
        if sum(answered.values()) == 20:
            print("calling", flush=True)
        gevent.sleep(0.01)
        pauses.append(time.monotonic() - started_at)
print(json.dumps({{"answered": answered, "failures": failures, "longest_pause": max(pauses)}}), flush=True)
"""


class Caller:
    """A container beside the project's that calls ``whoami`` a hundred times a second for some seconds."""

    def __init__(self, project: Project, seconds: float) -> None:
        self._container = project.run_beside("users", ["python", "-c", _CALLER, str(seconds)])
        self._seconds = seconds

    def __enter__(self) -> Caller:
        """Itself, when calls are being answered."""
        wait_until(lambda: b"calling" in self._container.logs(), 20, "the first twenty answers")
        return self

    def __exit__(self, *_: object) -> None:
        """Away with the container."""
        self._container.remove(force=True, v=True)

    def outcome(self) -> dict[str, Any]:
        """Calls that each replica answered, all failures, the longest time between two calls; waits for the end."""
        status = self._container.wait(timeout=self._seconds + 30)["StatusCode"]
        assert status == 0, self._container.logs().decode()
        outcome: dict[str, Any] = json.loads(self._container.logs().decode().splitlines()[-1])
        return outcome


@contextlib.contextmanager
def killed(project: Project, container: Any) -> Iterator[None]:
    """Kills a container and starts it again at the end, healthy."""
    container.kill()
    try:
        yield
    finally:
        container.start()
        wait_until(lambda: project.is_healthy(container), 60, f"{container.name} healthy again")


def leader(project: Project) -> Any:
    """The container of the ZooKeeper server that leads the ensemble."""
    question = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/2181 && echo srvr >&3 && grep ^Mode: <&3"]
    servers = [project.containers(name)[0] for name in ("zk1", "zk2", "zk3")]
    return next(server for server in servers if b"leader" in server.exec_run(question).output)


def test_client_of_the_compose_file_makes_its_calls(project: Project) -> None:
    """The client container finds the service through the ensemble and prints what every replica answers."""
    client, replicas = project.containers("client")[0], project.containers("users")
    names = [replica.attrs["Config"]["Hostname"] for replica in replicas]
    wait_until(lambda: all(name in client.logs().decode() for name in names), 60, "an answer of every replica")


def test_every_replica_answers(project: Project) -> None:
    """Three replicas registered under addresses that others can reach."""
    with Caller(project, 3) as caller:
        outcome = caller.outcome()
    assert outcome["failures"] == []
    assert len(outcome["answered"]) == 3


def test_killed_replica_fails_no_call(project: Project) -> None:
    """Calls in flight at a killed replica, and those sent before the registry knows, move to another one."""
    with Caller(project, 12) as caller:
        with killed(project, project.containers("users")[0]):
            outcome = caller.outcome()
    assert outcome["failures"] == []
    assert len(outcome["answered"]) == 3


def test_killed_zookeeper_leader_fails_no_call(project: Project) -> None:
    """Calls do not pass through ZooKeeper: a lost leader stops none of them."""
    with Caller(project, 8) as caller:
        with killed(project, leader(project)):
            outcome = caller.outcome()
    assert outcome["failures"] == []
    assert len(outcome["answered"]) == 3
    assert outcome["longest_pause"] < 2.5


def test_replica_that_comes_back_is_called_again(project: Project) -> None:
    """After a kill and a restart, with one ZooKeeper server down, all three replicas answer."""
    with killed(project, leader(project)):
        with killed(project, project.containers("users")[0]):
            pass
        with Caller(project, 5) as caller:
            outcome = caller.outcome()
    assert outcome["failures"] == []
    assert len(outcome["answered"]) == 3
