"""What the author of a service is told of a worker that could not serve."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from zkrpc.server.startup import StartFailure, StartFailures, describe_failure, describe_status, log_with_detail


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to import from, forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def failure_of(name: str) -> StartFailure:
    """What importing that module leads to."""
    try:
        importlib.import_module(name)
    except Exception as error:
        return describe_failure(f"importing {name}", error)
    raise AssertionError("it worked")


def test_startup_shows_the_frames_of_the_author_alone(here: Path) -> None:
    """Where their module failed, through whatever modules of theirs; nothing of what imported it."""
    (here / "outer_module.py").write_text("import inner_module\n")
    (here / "inner_module.py").write_text("import os\nos.stat('/not/mounted/yet')\n")
    failure = failure_of("outer_module")
    assert failure.summary.startswith("importing outer_module failed: FileNotFoundError: [Errno 2]")
    frames = [line.strip() for line in failure.detail.splitlines() if line.startswith("  File ")]
    assert len(frames) == 3 and "test_startup.py" in frames[0]  # this test is no part of the library
    assert 'outer_module.py", line 1' in frames[1] and 'inner_module.py", line 2' in frames[2]
    assert "frozen" not in failure.detail and "/importlib/" not in failure.detail and not failure.final


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import not_installed_anywhere\n", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("from os import nothing_like_this\n", "ImportError: cannot import name"),
        ("print(undefined_name)\n", "NameError: name 'undefined_name'"),
    ],
)
def test_startup_knows_what_trying_again_cannot_help(here: Path, source: str, words: str) -> None:
    """What is wrong in the text stays so until somebody edits it."""
    (here / "wrong_module.py").write_text(source)
    failure = failure_of("wrong_module")
    assert failure.final and words in failure.summary and "wrong_module.py" in failure.detail


def test_startup_knows_a_call_of_ours_that_does_not_fit() -> None:
    """No frame of the author's is there: what we call wants something else, and will. One that fails inside may do
    better later."""
    assert describe_failure("starting users", TypeError("missing 1 required positional argument")).final

    def is_ready() -> bool:
        raise TypeError("not yet")

    try:
        is_ready()
    except TypeError as error:
        assert not describe_failure("starting users", error).final


def test_startup_keeps_what_an_error_came_from() -> None:
    """The cause is often what helps; the event loop's frames never are."""

    def connect() -> None:
        raise OSError("refused")

    def start() -> None:
        try:
            connect()
        except OSError as error:
            raise RuntimeError("no database") from error

    greenlet = gevent.spawn(start)
    greenlet.join()
    detail = describe_failure("starting users", greenlet.exception).detail
    assert "in connect" in detail and "OSError: refused" in detail and "direct cause" in detail
    assert "RuntimeError: no database" in detail and "gevent" not in detail


def test_startup_bounds_and_cleans_what_it_shows() -> None:
    """An exception may say anything at any length."""
    failure = describe_failure("starting users", ValueError("\x1b[2J" + "x" * 50_000))
    assert len(failure.detail) < 9000 and "\x1b" not in failure.detail + failure.summary


def test_startup_failures_are_told_once_and_then_once_a_minute() -> None:
    """Of several workers, or of one that is tried again and again; another one is news."""
    failures, one, other = StartFailures(), StartFailure("it failed", "here"), StartFailure("it failed", "there")
    assert failures.receive(one, 0.0) == 1
    assert [failures.receive(one, now) for now in (0.1, 1.0, 59.9)] == [None, None, None]
    assert failures.receive(other, 30.0) == 1
    assert failures.receive(one, 60.0) == 5 and failures.receive(one, 61.0) is None
    for number in range(300):
        assert failures.receive(StartFailure(f"number {number}"), 70.0) == 1
    assert len(failures._known) <= 100 and "known=" in repr(failures)


def test_log_with_detail_is_one_record(caplog: pytest.LogCaptureFixture) -> None:
    """The message on one line, the detail below it; nothing is made that nobody reads."""
    log = logging.getLogger("zkrpc.test")
    with caplog.at_level(logging.WARNING, "zkrpc.test"):
        log_with_detail(log, logging.INFO, "unread", "")
        log_with_detail(log, logging.ERROR, "in a line", "of this\nand that")
        log_with_detail(log, logging.ERROR, "alone", "")
    assert [record.message for record in caplog.records] == ["in a line", "alone"]
    assert caplog.records[0].stack_info == "  of this\n  and that" and caplog.records[1].stack_info is None


@pytest.mark.parametrize(
    ("status", "told"), [(0, "status 0"), (78, "status 78"), (-9, "signal SIGKILL"), (-99, "signal 99")]
)
def test_end_of_a_process_is_told_in_words(status: int, told: str) -> None:
    """Signals by their names, where they have one."""
    assert describe_status(status) == told
