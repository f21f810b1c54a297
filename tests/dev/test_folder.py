"""The folders of throw-away ZooKeepers: whose owner is gone goes, everything else stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zkrpc.dev import folder as module
from zkrpc.dev.folder import Folder, sweep


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of our own."""
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folder_is_removed_at_its_end(place: Path) -> None:
    """Only its owner may look into it, and closing it again does nothing."""
    folder = Folder()
    (folder.path / "0").mkdir()
    assert folder.path.parent == place and folder.path.stat().st_mode & 0o777 == 0o700
    folder.close()
    folder.close()
    assert list(place.iterdir()) == []


def test_folder_of_an_owner_that_was_killed_is_removed_by_the_next(place: Path) -> None:
    """However it ended; that of one who lives stays."""
    program = (
        f"import os, sys, tempfile; tempfile.tempdir = {str(place)!r}\n"
        "from zkrpc.dev.folder import Folder\n"
        "folder = Folder(); (folder.path / 'log').write_text('x'); print(folder.path, flush=True)\n"
        "sys.stdin.read()"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdin is not None
    left = Path(owner.stdout.readline().strip())
    ours = Folder()
    sweep(place)
    assert left.is_dir() and ours.path.is_dir()
    owner.kill()
    owner.communicate(timeout=60)
    assert left.is_dir()
    Folder().close()
    assert list(place.iterdir()) == [ours.path]
    ours.close()


def test_sweep_leaves_what_is_not_ours(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file, a link, a folder without a lock (one that is being made), one whose lock is a link, and other names."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "owner.lock").write_text("")
    (place / "zkrpc-zookeeper-file").write_text("")
    (place / "zkrpc-zookeeper-link").symlink_to(elsewhere)
    (place / "zkrpc-zookeeper-new").mkdir()
    (place / "zkrpc-zookeeper-trap").mkdir()
    (place / "zkrpc-zookeeper-trap/owner.lock").symlink_to(elsewhere / "owner.lock")
    (place / "other").mkdir()
    (place / "other/owner.lock").write_text("")
    before = sorted(place.rglob("*"))
    sweep(place)
    assert sorted(place.rglob("*")) == before and (elsewhere / "owner.lock").exists()
