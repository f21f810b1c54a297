"""The fixtures, used as a stranger would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.zookeeper.session import Session

_STORY = """
from pathlib import Path
from zkrpc.zookeeper.session import Session

def test_story(zookeeper, request):
    assert "zookeeper_server" not in request.fixturenames
    Path("used").write_text(zookeeper)
    session = Session(zookeeper)
    session.start()
    assert session.wait_connected(60)
    session.znodes.ensure_path("/a/b")
    session.close()
"""


@pytest.mark.zookeeper
def test_zookeeper_fixture_gives_a_fresh_chroot(zookeeper: str, request: pytest.FixtureRequest) -> None:
    """The connect string names a chroot of its own."""
    hosts, slash, chroot = zookeeper.partition("/")
    assert slash and chroot.startswith("zkrpc-test-")
    if "zookeeper_server" in request.fixturenames:
        assert hosts == request.getfixturevalue("zookeeper_server").hosts


@pytest.mark.zookeeper
def test_zookeeper_server_fixture_serves(zookeeper_server: DevZooKeeper) -> None:
    """The server of the test session runs."""
    assert zookeeper_server.modes() == ("standalone",)


@pytest.mark.zookeeper
def test_a_running_ensemble_is_used_and_left_as_it_was(zookeeper_server: DevZooKeeper, tmp_path: Path) -> None:
    """ZKRPC_ZOOKEEPER starts no server, and the test's chroot is gone afterwards."""
    story = tmp_path / "test_story.py"
    story.write_text(_STORY)
    environ = os.environ | {"ZKRPC_ZOOKEEPER": zookeeper_server.hosts}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(story)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    session = Session(zookeeper_server.hosts)
    session.start()
    try:
        assert session.wait_connected(60)
        used = (tmp_path / "used").read_text()
        hosts, slash, chroot = used.partition("/")
        assert hosts == zookeeper_server.hosts and session.znodes.exists(slash + chroot) is None
    finally:
        session.close()


def test_the_plugin_imports_only_pytest() -> None:
    """Everybody's pytest run pays for what it imports."""
    program = "import sys, zkrpc.testing.plugin; print([m for m in ('gevent', 'kazoo', 'thrift') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
