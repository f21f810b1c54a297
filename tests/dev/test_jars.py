"""Finding and fetching ZooKeeper's jars."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from zkrpc.dev import jars
from zkrpc.errors import ConfigError

NETTY = jars._NETTY["libnetty-java"]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with no ZooKeeper and no tool to fetch one."""
    monkeypatch.setattr(jars, "_DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(jars, "_HOMES", (str(tmp_path / "brew"),))
    (tmp_path / "bin").mkdir()
    return {"ZKRPC_CACHE": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin")}


def release(folder: Path) -> Path:
    """A folder that looks like an unpacked release."""
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/zookeeper-3.9.3.jar").touch()
    return folder


def tool(folder: Path, name: str, script: str) -> None:
    """An executable shell script on the PATH of ``bare``."""
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\nset -e\nPATH={os.environ['PATH']}\n{script}\n")
    path.chmod(0o755)


def test_jars_are_taken_from_the_most_specific_place(tmp_path: Path, bare: dict[str, str]) -> None:
    """The variables beat the cache, which beats Homebrew, which beats Debian's package."""
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian/zookeeper.jar").touch()
    assert jars.find_jars(bare) == f"{tmp_path}/debian/zookeeper.jar:{tmp_path}/debian/slf4j-simple.jar"
    brewed = release(tmp_path / "brew")
    assert jars.find_jars(bare) == f"{brewed}/lib/*"
    cached = release(tmp_path / "cache/zookeeper")
    assert jars.find_jars(bare) == f"{cached}/lib/*"
    home = release(tmp_path / "home")
    assert jars.find_jars(bare | {"ZOOKEEPER_HOME": str(home)}) == f"{home}/lib/*"
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "zookeeper.jar").touch()
    both = bare | {"ZOOKEEPER_HOME": str(home), "ZKRPC_ZOOKEEPER": str(flat)}
    assert jars.find_jars(both) == f"{flat}/*"


def test_a_chosen_folder_without_jars_is_an_error(tmp_path: Path, bare: dict[str, str]) -> None:
    """Who names a folder wants that one."""
    with pytest.raises(ConfigError, match="ZOOKEEPER_HOME=.* holds no"):
        jars.find_jars(bare | {"ZOOKEEPER_HOME": str(tmp_path)})


def test_a_running_ensemble_is_told_from_a_folder(tmp_path: Path) -> None:
    """ZKRPC_ZOOKEEPER means a connect string unless it is a folder."""
    assert jars.running_ensemble({}) is None
    assert jars.running_ensemble({"ZKRPC_ZOOKEEPER": str(tmp_path)}) is None
    assert jars.running_ensemble({"ZKRPC_ZOOKEEPER": "10.0.0.1:2181,10.0.0.2:2181"}) == "10.0.0.1:2181,10.0.0.2:2181"


def test_nothing_found_is_one_line_of_remedies(bare: dict[str, str]) -> None:
    """Without tools to fetch with, the message names what to install."""
    with pytest.raises(ConfigError, match="apt-get install libzookeeper-java") as caught:
        jars.find_jars(bare)
    assert "\n" not in str(caught.value)


def test_jars_are_fetched_by_apt_once(tmp_path: Path, bare: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """apt-get downloads, dpkg-deb unpacks, the cache keeps; the second look fetches nothing."""
    tool(tmp_path, "apt-get", 'case "$*" in *download*) touch one.deb;; esac')
    names = " ".join(name for group in jars._PACKAGES.values() for name in group)
    tool(tmp_path, "dpkg-deb", f'mkdir -p "$3/usr/share/java"; cd "$3/usr/share/java"; touch {names}')
    assert jars.find_jars(bare) == f"{tmp_path}/cache/zookeeper/lib/*"
    assert "fetching ZooKeeper's jars with apt-get" in capsys.readouterr().err
    assert jars.find_jars(bare) == f"{tmp_path}/cache/zookeeper/lib/*"
    assert capsys.readouterr().err == ""
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["zookeeper"]


def test_jars_come_out_of_an_image_when_apt_fails(tmp_path: Path, bare: dict[str, str]) -> None:
    """The container made to copy from is removed again."""
    tool(tmp_path, "apt-get", "exit 100")
    tool(tmp_path, "dpkg-deb", "exit 0")
    docker = f"""echo "$1" >> {tmp_path}/asked
case "$1" in create) echo 3f;; inspect) echo /zk;; cp) test "$2" = 3f:/zk/lib/. && touch "$3/zookeeper-3.9.jar";;
esac"""
    tool(tmp_path, "docker", docker)
    assert jars.find_jars(bare) == f"{tmp_path}/cache/zookeeper/lib/*"
    assert (tmp_path / "asked").read_text().split() == ["create", "inspect", "cp", "rm"]


def test_failed_fetches_are_named(tmp_path: Path, bare: dict[str, str]) -> None:
    """The remedies come first, then why each way failed."""
    tool(tmp_path, "docker", "echo cannot connect >&2; exit 1")
    with pytest.raises(ConfigError, match="no ZooKeeper found.*; docker failed: cannot connect"):
        jars.find_jars(bare)


def test_a_fetch_that_lost_the_race_uses_the_winner(tmp_path: Path, bare: dict[str, str]) -> None:
    """Two processes fetching at once end with one whole folder."""
    home = tmp_path / "cache/zookeeper"

    def lose(work: Path, lib: Path, environ: object) -> None:
        (lib / "zookeeper.jar").touch()
        release(home)

    jars._fetch_into(home, lose, bare)
    assert [path.name for path in (home / "lib").iterdir()] == ["zookeeper-3.9.3.jar"]


def test_a_folder_in_the_way_is_an_error(tmp_path: Path, bare: dict[str, str]) -> None:
    """A cache entry without jars is not overwritten silently."""
    (tmp_path / "cache/zookeeper/other").mkdir(parents=True)
    with pytest.raises(OSError):
        jars._fetch_into(tmp_path / "cache/zookeeper", lambda work, lib, environ: None, bare)


def test_the_last_line_of_a_failure_is_kept() -> None:
    """What the tool said last, else what the exception says."""
    assert jars._last_line(subprocess.CalledProcessError(1, "x", stderr="a\nb\n")) == "b"
    assert jars._last_line(OSError("gone")) == "gone"


def test_netty_is_fetched_where_a_release_has_none(
    tmp_path: Path, bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Releases of ZooKeeper have it; Debian's packages have it elsewhere; else apt-get brings it, once."""
    whole = release(tmp_path / "whole")
    (whole / "lib/netty-handler-4.1.jar").touch()
    assert jars.find_netty(f"{whole}/lib/*", bare) == ""
    lean = f"{release(tmp_path / 'lean')}/lib/*"
    with pytest.raises(ConfigError, match="apt-get install libnetty-java"):
        jars.find_netty(lean, bare)
    tool(tmp_path, "apt-get", "echo no network >&2; exit 100")
    tool(tmp_path, "dpkg-deb", 'mkdir -p "$3/usr/share/java"; cd "$3/usr/share/java"; touch ' + " ".join(NETTY))
    with pytest.raises(ConfigError, match="apt-get failed: no network"):
        jars.find_netty(lean, bare)
    tool(tmp_path, "apt-get", 'case "$*" in *download*) touch one.deb;; esac')
    fetched = ":".join(f"{tmp_path}/cache/netty/lib/{name}" for name in NETTY)
    capsys.readouterr()
    assert jars.find_netty(lean, bare) == fetched
    assert "fetching Netty's jars" in capsys.readouterr().err
    assert jars.find_netty(lean, bare) == fetched
    assert capsys.readouterr().err == ""
    (tmp_path / "debian").mkdir()
    for name in NETTY:
        (tmp_path / "debian" / name).touch()
    assert jars.find_netty(f"{tmp_path}/debian/zookeeper.jar:x", bare) == fetched.replace("cache/netty/lib", "debian")
