"""``zkrpc dev`` as its user runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zkrpc.cli.dev import dev
from zkrpc.errors import CoordinationError


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.zookeeper
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_runs_until_told_and_removes_everything(number: signal.Signals, tmp_path: Path) -> None:
    """The first line is a connect string that answers; both signals end it with nothing left."""
    program = [sys.executable, "-m", "zkrpc", "dev"]
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    running = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    assert running.stdout is not None
    host, _, port = running.stdout.readline().strip().partition(":")
    with socket.create_connection((host, int(port)), 5):
        pass
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert "ended and removed" in errors
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)


@pytest.mark.zookeeper
def test_dev_removes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    """Who is killed cannot clean up: its server ends with it, and its files go with the next one's start."""
    program = [sys.executable, "-m", "zkrpc", "dev"]
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    running = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ)
    assert running.stdout is not None
    port = running.stdout.readline().strip().rpartition(":")[2]
    running.kill()
    running.communicate(timeout=60)
    (left,) = tmp_path.iterdir()
    give_up_at = time.monotonic() + 60
    while is_open(int(port)) and time.monotonic() < give_up_at:
        time.sleep(0.02)  # the kernel ends the server, in its own time
    successor = subprocess.Popen(
        [*program, "--port", port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )
    assert successor.stdout is not None
    assert successor.stdout.readline().strip() == f"127.0.0.1:{port}" and not left.exists()
    successor.terminate()
    successor.communicate(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_dev_fails_in_one_line_when_there_is_no_zookeeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not come up is the caller's to report, with the end of its log."""
    java = tmp_path / "java"
    java.write_text('#!/bin/sh\ntest "$1" = -version || { echo broken; exit 3; }\n')
    java.chmod(0o755)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("ZKRPC_JAVA", str(java))
    try:
        with pytest.raises(CoordinationError, match="broken"):
            dev.main([], standalone_mode=False)
    finally:
        signal.signal(signal.SIGTERM, before)
