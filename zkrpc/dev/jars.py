"""Finds ZooKeeper's jars, or fetches them once into this project's cache without root.

It starts no server. What it fetches comes from sources that the machine trusts already: its own apt mirrors (signatures
are checked), else its Docker engine's image.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zkrpc.dev.java import cache_directory
from zkrpc.errors import ConfigError

_DEBIAN = Path("/usr/share/java")
_HOMES = ("/opt/homebrew/opt/zookeeper/libexec", "/usr/local/opt/zookeeper/libexec", "/opt/zookeeper")
# What a quorum peer loads while the admin server is off; the rest of what the package depends on (Jetty, Netty, ...)
# is never touched. Without snappy the server hangs silently, without metrics it does not start (measured).
_PACKAGES = {
    "libzookeeper-java": ("zookeeper.jar", "zookeeper-jute.jar"),
    "libslf4j-java": ("slf4j-api.jar", "slf4j-simple.jar"),
    "libdropwizard-metrics-java": ("metrics-core.jar",),
    "libsnappy-java": ("snappy-java.jar",),
}
# What it loads beside that to speak TLS.
_NETTY = {
    "libnetty-java": tuple(
        f"netty-{part}.jar"
        for part in (
            *("buffer", "codec", "common", "handler", "resolver", "transport"),
            *("transport-native-epoll", "transport-native-unix-common"),
        )
    )
}
_IMAGE = "zookeeper:3.9"
_FETCH_TIMEOUT = 300.0
_REMEDIES = (
    "no ZooKeeper found: set ZOOKEEPER_HOME to an unpacked release, or ZKRPC_ZOOKEEPER to a running one (host:port,...)"
    ", or install one (apt-get install libzookeeper-java, brew install zookeeper), or start a Docker engine"
)

_NETTY_REMEDIES = (
    "ZooKeeper speaks TLS with Netty, which is not here: apt-get install libnetty-java, or set ZOOKEEPER_HOME to an "
    "unpacked release"
)


def running_ensemble(environ: Mapping[str, str] = os.environ) -> str | None:
    """The connect string in ``ZKRPC_ZOOKEEPER``, if it names a running ensemble rather than a folder of jars."""
    chosen = environ.get("ZKRPC_ZOOKEEPER")
    return chosen if chosen and not Path(chosen).is_dir() else None


def find_jars(environ: Mapping[str, str] = os.environ) -> str:
    """A Java class path with ZooKeeper on it. If there are no jars, they are fetched into the cache, and a line says
    so.

    Looked for in ``ZKRPC_ZOOKEEPER`` (if a folder), ``ZOOKEEPER_HOME``, the cache, Homebrew, /opt, Debian's
    /usr/share/java; fetched with apt-get, else out of a Docker image. Raises ConfigError with the remedies.
    """
    return _installed(environ) or _fetched(environ)


def find_netty(jars: str, environ: Mapping[str, str] = os.environ) -> str:
    """What to add to the class path that ``find_jars`` found, so that a server can speak TLS; empty if it can already.
    Fetched with apt-get if it is not there; raises ConfigError with the remedy if that cannot be."""
    folder = Path(jars.partition(":")[0]).parent
    home = cache_directory(environ) / "netty"
    for place in (folder, _DEBIAN, home / "lib"):
        if found := sorted(place.glob("netty-handler*.jar")):
            return "" if found[0].parent == folder and jars.endswith("*") else ":".join(map(str, _netty_in(place)))
    if not all(shutil.which(tool, path=environ.get("PATH", "")) for tool in ("apt-get", "dpkg-deb")):
        raise ConfigError(_NETTY_REMEDIES)
    print(f"zkrpc: fetching Netty's jars, for TLS, with apt-get into {home} (once)", file=sys.stderr, flush=True)
    try:
        _fetch_into(home, functools.partial(_by_apt, packages=_NETTY), environ, "netty-handler*.jar")
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{_NETTY_REMEDIES}; apt-get failed: {_last_line(error)}") from error
    return ":".join(map(str, _netty_in(home / "lib")))


def _netty_in(folder: Path) -> list[Path]:
    return [folder / name for names in _NETTY.values() for name in names if (folder / name).exists()]


def _installed(environ: Mapping[str, str]) -> str | None:
    for variable in ("ZKRPC_ZOOKEEPER", "ZOOKEEPER_HOME"):
        home = environ.get(variable)
        if home and Path(home).is_dir():
            if found := _class_path(Path(home)):
                return found
            raise ConfigError(
                f"{variable}={home} holds no lib/zookeeper*.jar; it must be an unpacked ZooKeeper release"
            )
    for folder in (cache_directory(environ) / "zookeeper", *map(Path, _HOMES)):
        if found := _class_path(folder):
            return found
    if (_DEBIAN / "zookeeper.jar").exists():
        # Its manifest names the other jars, but no binding for slf4j: without one there would be no logs at all.
        return f"{_DEBIAN}/zookeeper.jar:{_DEBIAN}/slf4j-simple.jar"
    return None


def _class_path(home: Path, pattern: str = "zookeeper*.jar") -> str | None:
    for folder in (home / "lib", home):
        if any(folder.glob(pattern)):
            return f"{folder}/*"
    return None


def _fetched(environ: Mapping[str, str]) -> str:
    home = cache_directory(environ) / "zookeeper"
    failures = []
    for name, tools, fetch in (("apt-get", ("apt-get", "dpkg-deb"), _by_apt), ("docker", ("docker",), _by_docker)):
        if not all(shutil.which(tool, path=environ.get("PATH", "")) for tool in tools):
            continue
        print(f"zkrpc: fetching ZooKeeper's jars with {name} into {home} (once)", file=sys.stderr, flush=True)
        try:
            _fetch_into(home, fetch, environ)
        except (OSError, subprocess.SubprocessError) as error:
            failures.append(f"{name} failed: {_last_line(error)}")
            continue
        if found := _class_path(home):
            return found
    raise ConfigError("; ".join([_REMEDIES, *failures]))


def _fetch_into(
    home: Path,
    fetch: Callable[[Path, Path, Mapping[str, str]], None],
    environ: Mapping[str, str],
    pattern: str = "zookeeper*.jar",
) -> None:
    """Fetches beside ``home`` and renames, so that processes fetching at the same time never see half a folder."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        work, fresh = Path(scratch, "work"), Path(scratch, "fresh")
        (fresh / "lib").mkdir(parents=True)
        work.mkdir()
        fetch(work, fresh / "lib", environ)
        try:
            fresh.rename(home)
        except OSError:
            if _class_path(home, pattern) is None:
                raise


def _by_apt(
    work: Path, lib: Path, environ: Mapping[str, str], packages: Mapping[str, Sequence[str]] = _PACKAGES
) -> None:
    """Downloads and unpacks the packages. It uses package lists of its own, so it needs neither root nor an earlier
    ``apt-get update``."""
    for folder in ("state/lists/partial", "cache/archives/partial", "packages", "root"):
        (work / folder).mkdir(parents=True)
    settings = {
        "Dir::State": f"{work}/state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": f"{work}/cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", *(part for pair in settings.items() for part in ("-o", "=".join(pair)))]
    _run([*apt, "update"], work, environ)
    _run([*apt, "download", *packages], work / "packages", environ)
    for package in sorted((work / "packages").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(work / "root")], work, environ)
    for names in packages.values():
        for name in names:
            shutil.copy((work / "root/usr/share/java" / name).resolve(), lib / name)


def _by_docker(work: Path, lib: Path, environ: Mapping[str, str]) -> None:
    """Copies the jars out of an image, which is pulled if it is not there; no container is ever started."""
    container = _run(["docker", "create", _IMAGE], work, environ).strip()
    try:
        home = _run(["docker", "inspect", "--format", "{{.Config.WorkingDir}}", container], work, environ).strip()
        _run(["docker", "cp", f"{container}:{home}/lib/.", str(lib)], work, environ)
    finally:
        _run(["docker", "rm", container], work, environ)


def _run(command: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    return subprocess.run(
        command, cwd=folder, env=dict(environ), check=True, capture_output=True, text=True, timeout=_FETCH_TIMEOUT
    ).stdout


def _last_line(error: Exception) -> str:
    output = getattr(error, "stderr", None) or str(error)
    return str(output).strip().rpartition("\n")[2]
