"""``zkrpc offline`` and ``zkrpc online``: an instance leaves service and comes back, and no caller notices."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from examples.ledger import idl as ledger_idl
from tests.support.command import Command, await_registered, registered
from tests.support.programs import ROOT, Program
from tests.support.waiting import eventually
from zkrpc.registry.formats import dump_serverset, parse_record
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper
USERS = Paths("users")
CALLERS = 4


class Callers:
    """Programs that call without a pause, and what became of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.answers: list[Any] = []
        self.failures: list[zkrpc.RpcError] = []
        self._call = call
        self._greenlets = [gevent.spawn(self._run) for _ in range(CALLERS)]

    def _run(self) -> None:
        while True:
            try:
                self.answers.append(self._call())
            except zkrpc.RpcError as error:
                self.failures.append(error)
            gevent.sleep(0.005)

    def await_answers(self, count: int = 50) -> list[Any]:
        """So many answers that come from now on."""
        begin = len(self.answers) + CALLERS
        eventually(lambda: len(self.answers) >= begin + count)
        return self.answers[begin:]

    def close(self) -> None:
        """Ends them."""
        gevent.killall(self._greenlets)


@pytest.fixture
def users(command: Command, zookeeper: str, registry: zkrpc.Registry) -> Program:
    """Three replicas of the users example, trio-0 to trio-2."""
    program = command.serve(zookeeper, "--id=trio", "--workers=3", "--drain-timeout=5")
    await_registered(registry, 3)
    return program


@pytest.fixture
def callers(users: Program, registry: zkrpc.Registry) -> Iterator[Callers]:
    """Callers of the users example, which say who has answered. They wait longer than its IDL says, as no machine is
    too busy for them."""
    idl = zkrpc.load(ROOT / "idl" / "users.thrift")
    with zkrpc.connect(idl.Users, "users", zookeeper=registry, config=zkrpc.ClientConfig(timeout=60)) as stub:
        made = Callers(lambda: stub.whoami().split()[-1])
        yield made
        made.close()


def resting(registry: zkrpc.Registry) -> dict[str, zkrpc.Instance]:
    """The instances of ``users`` that run and are out of service."""
    found = {}
    for name in registry.session.znodes.children(USERS.resting) or ():
        node = registry.session.znodes.get(f"{USERS.resting}/{name}")
        instance = parse_record(name, node[0]) if node else None
        if instance is not None:
            found[instance.id] = instance
    return found


def test_instance_leaves_service_and_comes_back_and_no_call_fails(
    command: Command, zookeeper: str, registry: zkrpc.Registry, callers: Callers
) -> None:
    """It gets no call while it is offline, also after its process was killed and has a successor of its name."""
    pid = registered(registry)["trio-1"].metadata["pid"]
    eventually(lambda: pid in callers.answers)
    status, output = command.run("offline", "trio-1", "--reason=leaks memory", "--zookeeper", zookeeper)
    assert status == 0 and output.startswith("trio-1 of users is offline: leaks memory (by ")
    assert registered(registry).keys() == {"trio-0", "trio-2"} and resting(registry)["trio-1"].metadata["pid"] == pid
    eventually(lambda: pid not in callers.await_answers())
    assert command.run("offline", "trio-1", "--reason=leaks memory", "--zookeeper", zookeeper)[1].startswith(
        "trio-1 of users was offline already, for the same reason"
    )
    _, table = command.run("ls", "users", "--zookeeper", zookeeper)
    assert table.startswith("users: 2 instances, 1 offline\n") and ": leaks memory (by " in table
    _, table = command.run("explain", "users", "--zookeeper", zookeeper)
    assert "    not picked: an operator's order: leaks memory (by " in table and "3, of which 2 would be" in table
    os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: (now := resting(registry).get("trio-1")) is not None and now.metadata["pid"] != pid)
    assert registered(registry).keys() == {"trio-0", "trio-2"}
    status, output = command.run("online", "trio-1", "--json", "--zookeeper", zookeeper)
    told = {"service": "users", "instance": "trio-1", "offline": False, "changed": True, "serves": True}
    assert (status, json.loads(output)) == (0, told)
    successor = await_registered(registry, 3)["trio-1"].metadata["pid"]
    eventually(lambda: not resting(registry))
    eventually(lambda: successor in callers.await_answers())
    assert command.run("online", "trio-1", "--zookeeper", zookeeper) == (0, "trio-1 of users was not offline\n")
    assert callers.failures == []


def test_instance_that_hangs_is_taken_out_of_service_all_the_same(
    command: Command, zookeeper: str, registry: zkrpc.Registry, users: Program
) -> None:
    """Its entry is removed for it, and when it goes on it stays out."""
    pid = int(registered(registry)["trio-1"].metadata["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        asked = ["offline", "trio-1", "--reason=hangs", "--wait=0.5", "--zookeeper", zookeeper]
        status, output = command.run(*asked)
        assert status == 0 and "it has not obeyed within 0.5 s, so its entry was removed here" in output
        assert registered(registry).keys() == {"trio-0", "trio-2"}
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: "trio-1" in resting(registry) and "trio-1" not in registered(registry))
    assert command.run("online", "trio-1", "--zookeeper", zookeeper) == (0, "trio-1 of users serves again\n")


def test_workers_are_replaced_also_while_one_is_offline(
    command: Command, zookeeper: str, registry: zkrpc.Registry, users: Program
) -> None:
    """SIGHUP does not wait for one that an operator keeps out of service; its successor stays out as well."""
    before = {name: one.metadata["pid"] for name, one in registered(registry).items()}
    assert command.run("offline", "trio-0", "--reason=r", "--zookeeper", zookeeper)[0] == 0
    users.tell(signal.SIGHUP)

    def all_replaced() -> bool:
        now = {name: one.metadata["pid"] for name, one in (registered(registry) | resting(registry)).items()}
        return now.keys() == before.keys() and not set(now.values()) & set(before.values())

    eventually(all_replaced)
    eventually(lambda: resting(registry).keys() == {"trio-0"} and registered(registry).keys() == {"trio-1", "trio-2"})


def test_primary_hands_over_before_it_leaves(
    command: Command, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path
) -> None:
    """And no call for the primary fails; when it is back it waits to lead again."""
    environment = {"LEDGER_DATABASE": str(tmp_path / "ledger.sqlite")}
    serve = ("serve", "examples.ledger:service", "--zookeeper", zookeeper, "--linger=0", "--id=l", "--workers=3")
    command.start(*serve, **environment)

    def leader() -> dict[str, Any]:
        status, output = command.run("primary", "ledger", "--json", "--zookeeper", zookeeper)
        found: dict[str, Any] = json.loads(output)["main"] if status == 0 else {"primary": None, "candidates": []}
        return found

    eventually(lambda: leader()["primary"] is not None and len(leader()["candidates"]) == 3)
    patient = zkrpc.ClientConfig(timeout=60)
    with zkrpc.connect(ledger_idl.Ledger, "ledger", zookeeper=registry, config=patient) as stub:
        stub.open("ada", 1)
        callers = Callers(lambda: stub.open("ada", 1))
        try:
            callers.await_answers()
            before = leader()["primary"]
            status, output = command.run("offline", before["instance"], "--reason=r", "--zookeeper", zookeeper)
            assert status == 0, output
            callers.await_answers()
            after = leader()
            assert after["primary"]["instance"] != before["instance"] and after["primary"]["epoch"] > before["epoch"]
            assert before["instance"] not in after["candidates"]
            ended = [term["reason"] for term in after["history"] if term["epoch"] == before["epoch"]]
            assert ended == ["withdrawn"]
            assert command.run("online", before["instance"], "--zookeeper", zookeeper)[0] == 0
            eventually(lambda: before["instance"] in leader()["candidates"])
            callers.await_answers()
        finally:
            callers.close()
    assert callers.failures == []


def put_member(registry: zkrpc.Registry, service: str, name: str, port: int) -> None:
    """An instance of which only the entry matters."""
    paths = Paths(service)
    registry.session.znodes.ensure_path(paths.members)
    record = dump_serverset(zkrpc.Instance(id=name, endpoint=zkrpc.Endpoint("10.0.0.1", port)))
    registry.session.znodes.create(paths.member(name), record, ephemeral=True)


@pytest.mark.parametrize("name", ["offline", "online"])
def test_unknown_instance_is_answered_with_similar_ones(
    name: str, command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """One line and status 1; of all services, or of the one that is named."""
    options = ["--reason=r"] if name == "offline" else []
    asked = [name, "trio-9", *options, "--zookeeper", zookeeper]
    assert "no instance is registered there" in command.run(*asked)[1]
    put_member(registry, "users", "trio-0", 1)
    status, output = command.run(*asked)
    assert status == 1 and output.startswith("zkrpc: there is no instance 'trio-9' at ") and "mean trio-0?" in output
    status, output = command.run(*asked, "--service=users", "--json")
    assert status == 1 and json.loads(output)["error"]["alike"] == ["trio-0"]
    assert command.run(*asked, "--service=usres")[0] == 1
    assert command.run(name, "a/b", *options, "--zookeeper", zookeeper)[0] == 78


def test_only_instance_and_one_of_two_services_need_a_word_more(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """A service without instances, and the wrong service, are accidents."""
    put_member(registry, "users", "w-0", 1)
    asked = ["offline", "w-0", "--reason=r", "--wait=0", "--zookeeper", zookeeper]
    status, output = command.run(*asked)
    assert status == 1 and "w-0 is the only instance of users that serves; say --force" in output
    assert registry.session.znodes.children(USERS.offline) is None
    put_member(registry, "ledger", "w-0", 2)
    status, output = command.run(*asked, "--force")
    assert status == 1 and "several services have an instance w-0: ledger, users; say which with --service" in output
    assert command.run(*asked, "--force", "--service=users")[0] == 0
    assert registry.session.znodes.children(USERS.offline) == ["w-0"]
    assert command.run("offline", "w-0", "--reason=" + "x" * 501, "--zookeeper", zookeeper)[0] == 78


def test_order_for_one_that_is_gone_can_be_changed_and_taken_back(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """It holds for whoever comes under that name."""
    put_member(registry, "users", "w-0", 1)
    put_member(registry, "users", "w-1", 2)
    asked = ["offline", "w-0", "--wait=0", "--zookeeper", zookeeper]
    assert command.run(*asked, "--reason=first")[0] == 0
    status, output = command.run(*asked, "--reason=second", "--json")
    told = json.loads(output)
    assert status == 0 and (told["changed"], told["obeyed"], told["reason"]) == (True, True, "second")
    assert "it does not run now" in command.run(*asked, "--reason=second")[1]
    answer = "w-0 of users may serve again, and does not run now\n"
    assert command.run("online", "w-0", "--zookeeper", zookeeper) == (0, answer)
