"""One server process, played by a shell script where ZooKeeper itself is not the point."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from zkrpc.dev.node import ServerNode
from zkrpc.errors import CoordinationError


def node(folder: Path, script: str, port: int = 1) -> ServerNode:
    """A node whose Java is a shell script."""
    java = folder / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return ServerNode(folder / "1", port, "tickTime=500\n", number=2, java=str(java), jars="/jars/*")


def ended(one: ServerNode) -> bool:
    """Waits for the process to end by itself."""
    give_up_at = time.monotonic() + 60
    while one.running and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return not one.running


def test_node_writes_its_files_and_passes_them_on(tmp_path: Path) -> None:
    """The configuration, the server's number, and a command line that names both."""
    one = node(tmp_path, 'echo "$@"')
    assert (tmp_path / "1/myid").read_text() == "2\n"
    assert (tmp_path / "1/zoo.cfg").read_text() == f"dataDir={tmp_path}/1\ntickTime=500\n"
    assert one.last_words() == ""
    one.start()
    assert ended(one)
    assert f"-cp {tmp_path}/1:/jars/*" in one.last_words() and one.last_words().endswith(f"{tmp_path}/1/zoo.cfg")


def test_node_starts_once_and_dies_at_once(tmp_path: Path) -> None:
    """start() is content with a running process; kill() returns when it is gone, and may be repeated."""
    one = node(tmp_path, "echo up; exec sleep 60")
    one.start()
    one.start()
    one.freeze()
    assert one.running
    one.thaw()
    one.kill()
    assert not one.running
    one.kill()
    with pytest.raises(CoordinationError, match="port 1 is not running"):
        one.freeze()


def test_node_keeps_only_the_end_of_a_long_log(tmp_path: Path) -> None:
    """An error message shows a few lines."""
    one = node(tmp_path, "for line in 1 2 3 4 5; do echo line $line; done")
    one.start()
    assert ended(one)
    assert one.last_words(2) == "line 4\nline 5"


@pytest.mark.parametrize(
    ("answer", "mode"),
    [(b"Zookeeper version: 3\nMode: follower\nNode count: 5\n", "follower"), (b"not currently serving\n", None)],
)
def test_mode_is_what_srvr_says(tmp_path: Path, answer: bytes, mode: str | None) -> None:
    """A server without a quorum answers, but does not serve."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(16) == b"srvr"
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        assert node(tmp_path, "", listener.getsockname()[1]).mode() == mode
        server.join(60)


def test_mode_of_a_silent_port_is_none(tmp_path: Path) -> None:
    """Refused, or accepted and never answered: it does not serve."""
    assert node(tmp_path, "").mode() is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert node(tmp_path, "", silent.getsockname()[1]).mode() is None
