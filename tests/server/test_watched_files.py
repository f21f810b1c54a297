"""Files that are edited are noticed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.server.watched_files import WatchedFiles


@pytest.mark.parametrize("name", ["app.py", "inner/app.py", "users.thrift"])
def test_source_that_comes_changes_or_goes_is_noticed(tmp_path: Path, name: str) -> None:
    """Once each time, and not before it is time to look again."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    files, now = WatchedFiles([tmp_path]), 100.0
    assert files.interval and not files.look(now)
    for change in (lambda: file.write_text("1"), lambda: file.write_text("2"), file.unlink):
        if file.exists():
            before = file.stat().st_mtime_ns
            while file.exists() and file.stat().st_mtime_ns == before:
                change()
        else:
            change()
        assert not files.look(now)
        now += files.interval
        assert files.look(now) == file.name
        now += files.interval
        assert not files.look(now)
    assert repr(files) == "<WatchedFiles 0>"


@pytest.mark.parametrize("name", ["notes.txt", ".hidden/app.py", "__pycache__/app.py", "venv/lib/app.py"])
def test_other_files_are_not(tmp_path: Path, name: str) -> None:
    """What is not source, hidden, made by Python, or installed."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    files = WatchedFiles([tmp_path])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("1")
    assert not files.look(100.0)


def test_few_of_many_files_are_named(tmp_path: Path) -> None:
    """As they were all changed by one command, mostly."""
    files = WatchedFiles([tmp_path])
    for number in range(5):
        (tmp_path / f"m{number}.py").touch()
    assert files.look(100.0) == "m0.py, m1.py, m2.py, 2 others"


def test_no_folders_are_never_looked_at() -> None:
    """There is no time for it either."""
    files = WatchedFiles([])
    assert files.interval is None and not files.look(100.0)
