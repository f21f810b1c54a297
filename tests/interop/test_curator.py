"""Curator itself, from Debian's packages, reads our records, and finds our instances as we find its own."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.debian import java_libraries
from tests.support.echo import EchoHandler, idl
from tests.support.programs import ROOT
from tests.support.waiting import eventually
from zkrpc.dev.jars import find_jars
from zkrpc.dev.java import find_java

pytestmark = pytest.mark.zookeeper

SOURCES = [Path(__file__).with_name("curator") / name for name in ("CuratorPeer.java", "ZookeeperInstance.java")]
GOLDEN = ROOT / "tests" / "registry" / "golden"
CURATOR = (
    *("libcurator-discovery-java", "libcurator-recipes-java", "libcurator-framework-java", "libcurator-client-java"),
    *("libguava-java", "libjackson2-core-java", "libjackson2-databind-java", "libjackson2-annotations-java"),
)
COMPILER = "libecj-java"
COMPILING = "org.eclipse.jdt.internal.compiler.batch.Main"
"""A compiler that runs on a Java that has none of its own."""
SOON = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
"""A Java that starts quickly, and needs little."""
QUICK = zkrpc.ServerConfig(linger=0.0, drain_timeout=2.0)


class Curator:
    """A process with Curator's ``ServiceDiscovery`` below /discovery, and a cache and a provider of ``echo``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_ready(self) -> None:
        """Waits for its first line."""
        assert self._read() == "ready"

    def ask(self, *words: str) -> str:
        """What it answers to a command; the hub goes on meanwhile."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        with gevent.Timeout(60):
            line: str = gevent.get_hub().threadpool.apply(self._process.stdout.readline)
        return line.rstrip("\n")


@pytest.fixture(scope="module")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Curator, what it needs, and our program, which is compiled here."""
    libraries = ":".join(map(str, java_libraries("curator", *CURATOR)))
    (compiler,) = java_libraries("ecj", COMPILER)
    classes = tmp_path_factory.mktemp("classes")
    command = [find_java(), *SOON, "-cp", str(compiler), COMPILING, "-11", "-proc:none", "-nowarn", "-cp", libraries]
    done = subprocess.run(
        [*command, "-d", str(classes), *map(str, SOURCES)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return f"{classes}:{libraries}:{find_jars()}"


@pytest.fixture
def registry(zookeeper: str) -> Iterator[zkrpc.Registry]:
    """A Registry for services and clients to share."""
    with zkrpc.Registry(zookeeper) as shared:
        assert shared.session.wait_connected(60)
        shared.session.znodes.ensure_path("/discovery")
        yield shared


@pytest.fixture
def curator(class_path: str, registry: zkrpc.Registry) -> Iterator[Curator]:
    """A process that ends with the test."""
    with subprocess.Popen(
        [find_java(), *SOON, "-cp", class_path, "CuratorPeer", registry.hosts, "/discovery", "echo"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            made = Curator(process)
            made.wait_ready()
            yield made
        finally:
            process.kill()


Serve = Callable[..., zkrpc.App]


@pytest.fixture
def serve(registry: zkrpc.Registry) -> Iterator[Serve]:
    """Serves the echo service until the end of the test, one instance for each call."""
    apps: list[zkrpc.App] = []

    def start(**options: Any) -> zkrpc.App:
        service = zkrpc.Service(idl.Echo, EchoHandler, config=QUICK)
        apps.append(zkrpc.serve(service, zookeeper=registry, **options))
        return apps[-1]

    yield start
    for app in apps:
        app.kill()


def test_curator_writes_our_records_again_byte_for_byte(curator: Curator) -> None:
    """Read by its own serializer and written by it; with Spring's payload, which it finds by its class, as well."""
    for kind, file in (
        ("plain", "curator-plain.json"),
        ("modern", "curator-disabled.json"),
        ("spring", "curator-spring.json"),
    ):
        record = (GOLDEN / file).read_bytes()
        told = curator.ask("again", kind, base64.b64encode(record).decode())
        assert not told.startswith("failed"), told
        assert base64.b64decode(told) == record


def test_curator_lists_caches_and_provides_our_instances(
    curator: Curator, serve: Serve, registry: zkrpc.Registry
) -> None:
    """Services and nothing else are below its base path; who comes, leaves or is not ready is followed."""
    first = serve(worker_id="w1", join=["curator:/discovery/echo"])
    second = serve(worker_id="w2", join=["curator:/discovery/echo"])

    def shown(*apps: zkrpc.App) -> str:
        nodes = registry.session.znodes.children("/discovery/echo") or ()
        ids = {name.partition("-")[0]: name for name in nodes}
        places = {"w1": first, "w2": second}
        return ",".join(f"echo/{ids.get(w)}@{app.endpoint}" for w, app in places.items() if app in apps)

    eventually(lambda: curator.ask("list", "echo") == shown(first, second))
    eventually(lambda: curator.ask("cache") == shown(first, second))
    assert curator.ask("names") == "echo"
    eventually(lambda: {curator.ask("provide") for _ in range(4)} == {shown(first), shown(second)})
    first.stop()
    eventually(lambda: curator.ask("cache") == shown(second))
    assert curator.ask("list", "echo") == shown(second)
    second._enrollment.receive_unready("busy")
    eventually(lambda: curator.ask("cache") == f"{shown(second)} disabled")
    eventually(lambda: curator.ask("provide") == "")


@pytest.mark.parametrize("persistent", [True, False], ids=["persistent", "one-shot"])
def test_clients_follow_curators_instances(curator: Curator, serve: Serve, zookeeper: str, persistent: bool) -> None:
    """One that comes, one whose record is updated in its node, one that goes: at once, however they are watched."""
    first, second = serve(), serve()
    config = zkrpc.RegistryConfig(persistent_watches=persistent)
    with zkrpc.Registry(zookeeper, config=config) as own:

        def listed() -> list[str]:
            return [str(one.endpoint) for one in own.resolver("curator:/discovery/echo").wait_ready(60).instances]

        assert curator.ask("register", "i-1", str(first.endpoint.port)) == "done"
        with zkrpc.connect(idl.Echo, "curator:/discovery/echo", zookeeper=own) as stub:
            assert stub.echo("found") == "found" and listed() == [str(first.endpoint)]
            for app in (second, first, second):
                assert curator.ask("update", "i-1", str(app.endpoint.port)) == "done"
                assert eventually(lambda: listed() == [str(app.endpoint)]) < 24.0  # noqa: B023
            first.stop()
            assert stub.echo("still") == "still"
            assert curator.ask("unregister", "i-1") == "done"
            assert eventually(lambda: listed() == []) < 24.0
