"""The fixtures, used as a stranger would."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zkrpc.dev.zookeeper import DevZooKeeper


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


def test_a_running_ensemble_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """ZKRPC_ZOOKEEPER starts no server."""
    monkeypatch.setenv("ZKRPC_ZOOKEEPER", "10.9.9.9:2181")
    assert request.getfixturevalue("zookeeper").startswith("10.9.9.9:2181/zkrpc-test-")


def test_the_plugin_imports_only_pytest() -> None:
    """Everybody's pytest run pays for what it imports."""
    program = "import sys, zkrpc.testing.plugin; print([m for m in ('gevent', 'kazoo', 'thrift') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
