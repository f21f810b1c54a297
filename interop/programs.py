"""Builds the peers' programs, once for each state of their sources, and starts, bounds and ends them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import gevent

from interop.cases import IDL
from interop.table import Peer

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "interop"
NODE_LIBRARY = "thrift@0.24.0"
TOOL_SECONDS = 300
"""How long one step of a build may take, or of an installation."""
RUN_SECONDS = 60
"""How long a client may take for all of its dialects, and a server until it listens."""
_SOURCES = Path(__file__).with_name("peers")
_GO_PATH = "/usr/share/gocode"
_JARS = "/usr/share/java/thrift.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar"


class NotHere(Exception):
    """A peer that cannot take part; the text says what it needs."""


class Broken(Exception):
    """A program that could not be built, or did not do what it had to; the text is the end of what it said."""


class Program(NamedTuple):
    """How one is started."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = {}


def missing(peer: Peer) -> list[str]:
    """The packages of Debian that it lacks."""
    return [package for what, package in peer.needs if not (shutil.which(what) or Path(what).exists())]


def install(peer: Peer) -> None:
    """Gets what it lacks with apt-get, if this is root on a Debian. Raises NotHere with apt-get's last line."""
    packages = missing(peer)
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        try:
            _tool(["apt-get", "-q", "update"], ROOT, environment)
            _tool(["apt-get", "install", "-qy", "--no-install-recommends", *packages], ROOT, environment)
        except Broken as error:
            raise NotHere(f"{', '.join(packages)} cannot be installed: {error}") from None


def ready(peer: Peer) -> Program:
    """Its program, built if it has to be. Raises NotHere or Broken."""
    if packages := missing(peer):
        raise NotHere(f"apt-get install {' '.join(packages)}")
    return _MAKERS[peer.name]()


def _python(module: str, *words: str) -> Program:
    return Program((sys.executable, "-u", "-m", f"interop.peers.{module}", *words))


def _apache_in_c() -> Program:
    probe = "from thrift.protocol import fastbinary"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=TOOL_SECONDS).returncode:
        raise NotHere("a C compiler and Python's headers when pip installs thrift, whose extension is not built here")
    return _python("apache_python", "c")


def _node() -> Program:
    def build(folder: Path) -> None:
        _generate("js:node", folder)
        shutil.copy(_SOURCES / "node" / "peer.js", folder)
        try:
            _tool(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), NODE_LIBRARY], folder)
        except Broken as error:
            raise NotHere(f"{NODE_LIBRARY} from npm: {error}") from None

    home = _built("node", "peer.js", (["node", "--version"], ["echo", NODE_LIBRARY]), build)
    return Program(("node", str(home / "peer.js")))


def _java() -> Program:
    def build(folder: Path) -> None:
        _generate("java:generated_annotations=suppress", folder)
        sources = [str(path) for path in (folder / "gen-java").rglob("*.java")]
        sources.append(str(_SOURCES / "java" / "Peer.java"))
        (folder / "classes").mkdir()
        options = ["-encoding", "UTF-8", "-nowarn", "-cp", _JARS, "-d", str(folder / "classes")]
        _tool(["javac", *options, *sources], folder)

    home = _built("java", "Peer.java", (["javac", "-version"],), build)
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")
    return Program(("java", *quick, "-cp", f"{_JARS}:{home / 'classes'}", "Peer"))


def _cpp() -> Program:
    def build(folder: Path) -> None:
        _generate("cpp:no_skeleton", folder)
        sources = sorted(str(path) for path in (folder / "gen-cpp").glob("*.cpp"))
        sources.append(str(_SOURCES / "cpp" / "peer.cpp"))
        libraries = ["-lthrift", "-lthriftz", "-lpthread"]
        _tool(["g++", "-std=c++17", "-O0", f"-I{folder}", *sources, *libraries, "-o", str(folder / "peer")], folder)

    return Program((str(_built("cpp", "peer.cpp", (["g++", "--version"],), build) / "peer"),))


def _go() -> Program:
    def build(folder: Path) -> None:
        _generate("go", folder)
        shutil.copytree(folder / "gen-go" / "matrix", folder / "src" / "matrix", ignore=_only_library)
        (folder / "src" / "peer").mkdir()
        shutil.copy(_SOURCES / "go" / "peer.go", folder / "src" / "peer")
        with tempfile.TemporaryDirectory() as scratch:
            environment = {"GO111MODULE": "off", "GOPATH": f"{folder}:{_GO_PATH}", "GOCACHE": scratch}
            _tool(["go", "build", "-o", str(folder / "peer"), "peer"], folder, environment)

    return Program((str(_built("go", "peer.go", (["go", "version"],), build) / "peer"),))


def _only_library(folder: str, names: list[str]) -> list[str]:
    """Leaves the command line clients out, which are programs of their own."""
    return [name for name in names if name.endswith("-remote")]


_MAKERS: Mapping[str, Callable[[], Program]] = {
    "apache": lambda: _python("apache_python", "plain"),
    "apache-c": _apache_in_c,
    "thriftpy2": lambda: _python("thriftpy2_python"),
    "node": _node,
    "java": _java,
    "cpp": _cpp,
    "go": _go,
}


def _generate(generator: str, folder: Path) -> None:
    _tool(["thrift", "-r", "--gen", generator, "-o", str(folder), str(IDL)], folder)


def _built(name: str, source: str, versions: Iterable[list[str]], build: Callable[[Path], None]) -> Path:
    """The folder of what is built of this source, this IDL and these tools; older ones of the same name go."""
    digest = hashlib.sha256(IDL.read_bytes() + (_SOURCES / name / source).read_bytes() + Path(__file__).read_bytes())
    for command in (["thrift", "--version"], *versions):
        digest.update(_tool(command, ROOT).encode())
    home = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if not home.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        old = list(CACHE.glob(f"{name}-*"))
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            fresh = Path(scratch, "fresh")
            fresh.mkdir()
            build(fresh)
            with contextlib.suppress(FileExistsError):  # another run was quicker
                os.rename(fresh, home)
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
    return home


def _tool(command: list[str], folder: Path, environment: Mapping[str, str] = {}) -> str:
    """What it says. Raises Broken with the end of it."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Broken(f"{command[0]}: {error}") from None
    if done.returncode:
        raise Broken(f"{command[0]}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout + done.stderr


@contextlib.contextmanager
def started(program: Program, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The program, which is killed and reaped at the end; what it says of errors is dropped."""
    process = subprocess.Popen(
        [*program.command, *words],
        cwd=ROOT,
        env={**os.environ, **program.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], until: str = "") -> list[list[str]]:
    """The lines that it says, in their columns, up to one or to the end; our servers and clients go on meanwhile.

    What has been said is returned when the time is over, too.
    """
    assert process.stdout is not None
    lines: list[list[str]] = []
    read = process.stdout.readline
    with gevent.Timeout(RUN_SECONDS, False):
        while (line := gevent.get_hub().threadpool.apply(read).rstrip("\n")) not in ("", until):
            lines.append(line.split("\t"))
    return lines
