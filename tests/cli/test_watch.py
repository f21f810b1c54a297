"""``zkrpc watch``: what happens to services, as it happens."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.programs import Program
from tests.support.waiting import eventually
from zkrpc.registry.formats import PrimaryRecord, dump_serverset
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper
PATHS = Paths("users")
ENDPOINT = zkrpc.Endpoint("10.0.0.1", 7000)


class Happenings:
    """What happens to the service ``users``, each thing once the one before was noticed."""

    def __init__(self, registry: zkrpc.Registry) -> None:
        self._znodes = registry.session.znodes
        for parent in (PATHS.members, PATHS.election("main"), PATHS.offline):
            self._znodes.ensure_path(parent)

    def join(self, name: str = "a-0", port: int = 7000) -> None:
        """An instance registers."""
        record = dump_serverset(zkrpc.Instance(id=name, endpoint=zkrpc.Endpoint("10.0.0.1", port), version="1.4"))
        self._znodes.create(PATHS.member(name), record, ephemeral=True)

    def lead(self) -> None:
        """It is elected."""
        record = PrimaryRecord(epoch=7, instance="a-0", endpoint=ENDPOINT)
        self._znodes.create(PATHS.primary("main"), record.dump(), ephemeral=True)

    def configure(self) -> None:
        """An operator sets a config."""
        self._znodes.create(PATHS.config, b"{}")

    def order(self) -> None:
        """An operator takes it out of service."""
        self._znodes.create(PATHS.offline_order("a-0"), OfflineOrder(reason="leaks", by="ada").dump())

    def leave(self) -> None:
        """It goes."""
        self._znodes.delete(PATHS.primary("main"))
        self._znodes.delete(PATHS.member("a-0"))


TOLD = [
    ("join", r"users joined a-0 at 10.0.0.1:7000, version 1.4"),
    ("lead", r"users primary main is a-0, epoch 7"),
    ("configure", r"users config version 0"),
    ("order", r"users offline a-0 leaks \(by ada\)"),
    ("leave", r"users left a-0 at 10.0.0.1:7000, version 1.4"),
]


def test_watch_writes_one_line_for_each_change(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """With its time, in a pipe; what was there before is not told; Ctrl-C ends it in order."""
    happenings = Happenings(registry)
    watching = command.start("watch", "--zookeeper", zookeeper)
    eventually(lambda: "watching 1 service with 0 instances; Ctrl-C ends it" in watching.output)
    for action, line in TOLD:
        getattr(happenings, action)()
        eventually(lambda: re.search(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {line}$", watching.output, re.MULTILINE))
    registry.session.znodes.ensure_path("/services/ledger/members")
    eventually(lambda: "ledger service appeared" in watching.output)
    watching.tell(signal.SIGINT)
    assert watching.wait() == 0 and "Traceback" not in watching.output


def objects(program: Program) -> list[dict[str, Any]]:
    """The whole lines that it has written, as objects."""
    return [json.loads(line) for line in program.output.split("\n")[:-1]]


def test_watch_tells_programs_one_object_for_each_change(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """The first is what there is; one service alone, if it is named."""
    happenings = Happenings(registry)
    happenings.join()
    watching = command.start("watch", "users", "--json", "--zookeeper", zookeeper)
    eventually(lambda: objects(watching))
    registry.session.znodes.ensure_path("/services/ledger/members")
    happenings.join("b-0", 7001)
    eventually(lambda: len(objects(watching)) == 2)
    watching.tell(signal.SIGINT)
    assert watching.wait() == 0
    start, joined = objects(watching)
    assert (start["kind"], [one["id"] for one in start["services"]["users"]["instances"]]) == ("start", ["a-0"])
    assert joined["at"] >= start["at"] and {**joined, "at": 0} == {
        "at": 0,
        "kind": "joined",
        "service": "users",
        "subject": "b-0",
        "detail": "at 10.0.0.1:7001, version 1.4",
    }


def test_watch_ends_by_itself_when_it_is_told_to(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """After ``--for`` seconds, with 0; a service that is not there is 1."""
    Happenings(registry)
    assert command.run("watch", "--for=0.2", "--zookeeper", zookeeper)[0] == 0
    status, output = command.run("watch", "usres", "--zookeeper", zookeeper)
    assert status == 1 and "there is no service 'usres'" in output and len(output.splitlines()) == 1


def test_watch_draws_on_a_terminal(zookeeper: str, registry: zkrpc.Registry) -> None:
    """The instances, and the changes below them, marked by more than colour."""
    happenings = Happenings(registry)
    here, there = pty.openpty()
    shown = bytearray()

    command = [sys.executable, "-m", "zkrpc", "watch", "users", "--zookeeper", zookeeper]
    environment = {**os.environ, "COLUMNS": "160", "LINES": "40", "TERM": "xterm"}
    watching = subprocess.Popen(command, stdin=there, stdout=there, stderr=there, env=environment)
    os.close(there)
    os.set_blocking(here, False)
    try:
        wait_for(here, shown, b"users: 0 instances")
        happenings.join()
        wait_for(here, shown, b"users: 1 instance")
        wait_for(here, shown, b"users joined a-0 at 10.0.0.1:7000, version 1.4")
        assert b"\x1b[1;7m" in shown
        watching.send_signal(signal.SIGINT)
        eventually(lambda: drain(here, shown) or watching.poll() is not None)
        assert watching.returncode == 0 and b"Traceback" not in shown
    finally:
        watching.kill()
        watching.wait()
        os.close(here)


def drain(terminal: int, shown: bytearray) -> bool:
    """Takes what has been shown; never True."""
    try:
        shown += os.read(terminal, 65536)
    except OSError:  # nothing yet, or nothing any more
        pass
    return False


def wait_for(terminal: int, shown: bytearray, text: bytes) -> None:
    """Waits until that has been shown."""
    eventually(lambda: drain(terminal, shown) or text in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", bytes(shown)))
