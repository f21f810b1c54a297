"""What is said, and what goes on, when the file of members cannot be written."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.registry import keeper as keeper_module
from zkrpc.registry.keeper import SnapshotKeeper


def snapshot(*ports: int) -> Snapshot:
    """Members at these ports."""
    members = tuple(Instance(id=f"m{port}", endpoint=Endpoint("10.0.0.1", port)) for port in ports)
    return Snapshot(service="users", instances=members)


def ports(keeper: SnapshotKeeper) -> list[int]:
    """What is in the file."""
    return [instance.endpoint.port for instance in keeper.load()]


def test_keeper_keeps_the_last_members(tmp_path: Path) -> None:
    """Also in a folder that is not there yet."""
    keeper = SnapshotKeeper(tmp_path / "new" / "users.json", "users")
    assert ports(keeper) == []
    keeper.save(snapshot(1))
    keeper.save(snapshot(1, 2))
    assert ports(keeper) == [1, 2] and "ok" in repr(keeper)


def test_keeper_says_once_that_it_cannot_save(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file where the folder should be, as a full disk or one that is read-only: one line for many changes, without a
    traceback, and one when it works again."""
    blocker = tmp_path / "folder"
    blocker.write_text("in the way")
    keeper = SnapshotKeeper(blocker / "users.json", "users")
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            keeper.save(snapshot(1))
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert str(blocker) in caplog.text and "calls go on" in caplog.text and "Traceback" not in caplog.text
        blocker.unlink()
        keeper.save(snapshot(2))
        keeper.save(snapshot(3))
    assert len(caplog.records) == 2 and "saved again" in caplog.text
    assert ports(keeper) == [3]


def test_keeper_says_that_the_disk_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the system's words; the old file stays as it was."""
    keeper = SnapshotKeeper(tmp_path / "users.json", "users")
    keeper.save(snapshot(1))

    def save(file: Path, members: Snapshot) -> None:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")

    monkeypatch.setattr(keeper_module, "save_snapshot", save)
    keeper.save(snapshot(2))
    assert "No space left on device" in caplog.text
    assert ports(keeper) == [1]


def test_keeper_waits_for_a_disk_that_does_not_answer_only_so_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever follows the members goes on, and no more threads are lost to it; when it answers, all is well again."""
    answers, asked = threading.Event(), []
    real: Any = keeper_module.save_snapshot

    def save(file: Path, members: Snapshot) -> None:
        asked.append(members)
        assert answers.wait(60)
        real(file, members)

    monkeypatch.setattr(keeper_module, "save_snapshot", save)
    monkeypatch.setattr(keeper_module, "_PATIENCE", 0.2)
    keeper = SnapshotKeeper(tmp_path / "users.json", "users")
    began = time.monotonic()
    for port in range(1, 5):
        keeper.save(snapshot(port))
    assert time.monotonic() - began < 30.0
    eventually(lambda: len(asked) == 1)
    assert caplog.text.count("has not answered for 0.2 s") == 1
    monkeypatch.setattr(keeper_module, "_PATIENCE", 60.0)
    answers.set()
    keeper._writing.wait(60)
    keeper.save(snapshot(9))
    assert ports(keeper) == [9] and "ok" in repr(keeper)
