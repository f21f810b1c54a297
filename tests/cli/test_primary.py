"""``zkrpc primary`` and the ledger example: a real supervisor, real workers, and one of them the primary."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from examples.ledger import idl
from tests.support.command import Command
from tests.support.programs import Program
from tests.support.waiting import eventually
from zkrpc.election.history import TroubleRecord
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord

pytestmark = pytest.mark.zookeeper
PATHS = ElectionPaths("ledger")


def leader(registry: zkrpc.Registry) -> PrimaryRecord | None:
    """Who leads, asked of ZooKeeper."""
    found = registry.session.znodes.get(PATHS.primary)
    return None if found is None else PrimaryRecord.parse(found[0])


def pid_of(registry: zkrpc.Registry, record: PrimaryRecord) -> int:
    """The process that leads."""
    for instance in registry.resolver("ledger").wait_ready(60).instances:
        if instance.id == record.instance:
            return int(instance.metadata["pid"])
    raise AssertionError(f"{record} is not a member")


@pytest.fixture
def ledger(command: Command, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path) -> Program:
    """Three workers of the example, one of them leading and all of them standing."""
    program = command.start(
        *("serve", "examples.ledger:service", "--zookeeper", zookeeper, "--linger=0", "--id=l", "--workers=3"),
        LEDGER_DATABASE=str(tmp_path / "ledger.sqlite"),
    )
    eventually(lambda: len(registry.session.znodes.children(PATHS.candidates) or ()) == 3 and leader(registry), 60)
    eventually(lambda: len(registry.resolver("ledger").wait_ready(60).instances) == 3, 60)
    return program


def stub_of(record: PrimaryRecord) -> Any:
    """Calls one instance."""
    return zkrpc.connect(idl.Ledger, [record.endpoint], config=zkrpc.ClientConfig(timeout=5.0))


def show(command: Command, zookeeper: str) -> dict[str, Any]:
    """What ``zkrpc primary ledger --json`` says of the only group."""
    status, output = command.run("primary", "ledger", "--zookeeper", zookeeper, "--json")
    assert status == 0, output
    return dict(json.loads(output)["main"])


def test_primary_shows_who_leads_and_step_down_changes_it(
    command: Command, zookeeper: str, registry: zkrpc.Registry, ledger: Program
) -> None:
    """For programs and for people; an operator has another one lead, and the history tells."""
    shown = show(command, zookeeper)
    first = leader(registry)
    assert first is not None and shown["primary"]["instance"] == first.instance and shown["epoch"] == first.epoch
    assert shown["primary"]["endpoint"] == shown["history"][0]["endpoint"] == str(first.endpoint)
    assert sorted(shown["candidates"]) == ["l-0", "l-1", "l-2"] and 0 < shown["lease_left"] <= 7
    with stub_of(first) as stub:
        assert stub.open("a", 100) == 100 and stub.open("b") == 0 and stub.transfer("a", "b", 30, "t1") == 70
        assert stub.transfer("a", "b", 30, "t1") == 70 and stub.balance("b") == 30
        with pytest.raises(idl.InsufficientFunds):
            stub.transfer("a", "b", 300, "t2")
        with pytest.raises(idl.UnknownAccount):
            stub.transfer("a", "c", 1, "t3")
    heir = next(name for name in shown["candidates"] if name != first.instance)
    status, output = command.run("primary", "step-down", "ledger", f"--to={heir}", "--json", ZKRPC_ZOOKEEPER=zookeeper)
    assert status == 0
    told = json.loads(output)
    assert told["instance"] == heir and told["epoch"] > first.epoch and told["endpoint"].startswith("127.0.0.1:")
    second = leader(registry)
    assert second is not None and second.instance == heir and second.epoch == told["epoch"]
    with stub_of(second) as stub:
        assert stub.total() == 100 and stub.whoami().endswith(f"epoch {second.epoch}")
    eventually(lambda: [term["reason"] for term in show(command, zookeeper)["history"]] == ["handed over", ""])
    status, text = command.run("primary", "--zookeeper", zookeeper, "ledger")
    lines = text.splitlines()
    assert status == 0 and lines[0].startswith(f"main: {heir} at {second.endpoint}, epoch {second.epoch}, lease about ")
    assert (
        lines[1].startswith("  waiting: ") and f"epoch {second.epoch} " in lines[2] and lines[3].endswith("handed over")
    )
    status, text = command.run("primary", "step-down", "ledger", "--zookeeper", zookeeper)
    third = leader(registry)
    assert status == 0 and third is not None and f"leads since epoch {third.epoch}" in text
    assert third.epoch > second.epoch


def test_killed_worker_is_followed_at_once(registry: zkrpc.Registry, ledger: Program) -> None:
    """The supervisor closes the dead worker's session, so that nobody waits for its timeout."""
    first = leader(registry)
    assert first is not None
    with stub_of(first) as stub:
        stub.open("a", 5)
    killed_at = time.monotonic()
    os.kill(pid_of(registry, first), signal.SIGKILL)

    def followed() -> bool:
        record = leader(registry)
        return record is not None and record.epoch > first.epoch

    eventually(followed, 60)
    print(f"another was elected after {1000 * (time.monotonic() - killed_at):.0f} ms")
    second = leader(registry)
    assert second is not None
    with stub_of(second) as stub:
        assert stub.open("a", 7) == 5
    assert time.monotonic() - killed_at < 8.0


def test_primary_shows_what_others_wrote_without_obeying_it(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """Strange groups are left out, names and reasons are escaped for people and exact for programs, times that are no
    times are left out or shown as the numbers that they are."""
    paths = ElectionPaths("odd")
    for path in (paths.candidates, f"{paths.root}/../x y".replace("main/../", "")):
        registry.session.znodes.ensure_path(path)
    term = {"epoch": 1, "instance": "w\n\x1b[2J", "endpoint": "\u202eh:1", "ended_at": None, "reason": "\x07"}
    times = [1e300, 253402214399.0, float("nan"), float("inf"), -5.0, 1.5]
    history = [{**term, "epoch": epoch, "began_at": at} for epoch, at in enumerate(times, 1)]
    registry.session.znodes.create(paths.history, json.dumps(history).encode())
    registry.session.znodes.create(paths.epoch, b"7")
    record = {"epoch": 7, "instance": "a\x1b[31m\nb", "endpoint": "127.0.0.1:1"}
    registry.session.znodes.create(paths.primary, json.dumps(record).encode(), ephemeral=True)
    status, text = command.run("primary", "odd", "--zookeeper", zookeeper)
    lines = text.splitlines()
    assert status == 0 and lines[0].startswith("main: a\\x1b[31m\\nb at 127.0.0.1:1, epoch 7"), text
    assert "election/main/epoch: an election record is not a JSON object: b'7'" in lines[2], text
    assert [line.split()[1] for line in lines[3:]] == ["6", "2"] and "\x1b" not in text and "\u202e" not in text
    assert lines[3].endswith("w\\n\\x1b[2J  \\x07") and " 1970-01-01 " in lines[3]
    status, text = command.run("primary", "odd", "--zookeeper", zookeeper, "--json")
    told = json.loads(text, parse_constant=pytest.fail)
    assert status == 0 and list(told) == ["main"] and told["main"]["primary"] == record
    assert [one["instance"] for one in told["main"]["history"]] == ["w\n\x1b[2J"] * 2


def test_primary_says_why_nobody_leads(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """What is wrong with the nodes, who could not lead and why, and who is still getting ready."""
    paths, session = ElectionPaths("ill"), registry.session
    session.znodes.ensure_path(paths.candidates)
    session.znodes.ensure_path(paths.troubles)
    session.znodes.create(paths.epoch, EpochRecord(epoch=2**63 - 1).dump())
    why = "on_elected failed: ValueError: no \x1b[2J table"
    session.znodes.create(paths.trouble("w1"), TroubleRecord(why=why, times=3).dump(), ephemeral=True)
    session.znodes.create(paths.trouble("w2"), b"?", ephemeral=True)
    status, text = command.run("primary", "ill", "--zookeeper", zookeeper)
    too_high = "epoch 9223372036854775807 is higher than any election can have reached"
    assert status == 0 and f"{too_high}; nobody can be elected until" in text, text
    assert "w1 could not lead, 3 times in a row, last " in text and r"no \x1b[2J table" in text, text
    session.znodes.set(paths.epoch, EpochRecord(epoch=7, instance="w3").dump())
    record = PrimaryRecord(epoch=7, instance="w3", endpoint=Endpoint("127.0.0.1", 1))
    session.znodes.create(paths.primary, record.dump())
    status, text = command.run("primary", "ill", "--zookeeper", zookeeper)
    assert "epoch 7, gets ready and does not serve yet" in text and "belongs to no session" in text, text
    told = json.loads(command.run("primary", "ill", "--zookeeper", zookeeper, "--json")[1])["main"]
    assert (
        told["getting_ready"] is True and told["complaints"][0]["times"] == 3 and "primary belongs" in told["problem"]
    )


@pytest.mark.parametrize(
    "what",
    [
        "nobody leads",
        "no heir",
        "never elected",
        "bad name",
        "nobody there",
        "unknown",
        "like one",
        "unknown too",
        "no group",
    ],
)
def test_primary_fails_in_one_line(what: str, command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """What may pass is 1, a mistake 78; each says what to look at."""
    registry.session.znodes.ensure_path(f"{ElectionPaths('empty').root}/candidates")
    registry.session.znodes.ensure_path("/services/quiet/members")
    arguments, status, complaint = {
        "nobody leads": (["step-down", "empty"], 1, "nobody leads empty/main now"),
        "no heir": (["step-down", "empty", "--to=x"], 1, "there is no candidate 'x' for main; nobody stands for it"),
        "never elected": (["quiet"], 1, "quiet has never elected a primary"),
        "unknown": (["empyt"], 1, "there is no service 'empyt' at"),
        "like one": (["empyt"], 1, "did you mean empty?"),
        "unknown too": (["step-down", "empyt"], 1, "there is no service 'empyt' at"),
        "no group": (
            ["step-down", "empty", "--group=mian"],
            1,
            "there is no group 'mian' of empty; did you mean main?",
        ),
        "bad name": (["show", "a/b"], 78, "service name 'a/b' must be"),
        "nobody there": (["ledger", "--timeout=0.3", "--zookeeper=127.0.0.1:1"], 1, "no ZooKeeper at"),
    }[what]
    ended, output = command.run("primary", *arguments, ZKRPC_ZOOKEEPER=zookeeper)
    lines = [line for line in output.splitlines() if line.startswith("zkrpc: ")]
    assert ended == status and len(lines) == 1 and complaint in lines[0] and "Traceback" not in output
    if what == "nobody leads":
        assert "main: nobody leads since epoch 0" in command.run("primary", "empty", "--zookeeper", zookeeper)[1]
