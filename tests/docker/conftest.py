"""The Docker tier: it runs where an engine, compose and the images are, and says what is missing where they are not.

``ZKRPC_REQUIRE=docker`` makes what is missing an error, for a CI job that must not pass by skipping. Nothing here pulls
an image; scripts/docker-images makes stand-ins on a machine that reaches no registry.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
_ZOOKEEPER_IMAGES = ("zookeeper:3.9", "zkrpc-zookeeper:local")
_PYTHON_IMAGES = ("python:3.11-slim", "zkrpc-python:local")
_UP_TIMEOUT = 300.0


class Missing(Exception):
    """Why the tier cannot run here."""


class Project:
    """The containers of docker-compose.yml under a project name of our own, on ports nobody else has."""

    def __init__(self, engine: Any, compose: list[str], images: dict[str, str]) -> None:
        self.name = f"zkrpc-test-{os.getpid()}"
        self.environment = {**os.environ, **images, **_free_ports("ZK1_PORT", "ZK2_PORT", "ZK3_PORT")}
        self._engine = engine
        self._compose = [*compose, "--project-name", self.name, "--file", str(ROOT / "docker-compose.yml")]

    def compose(self, *arguments: str) -> None:
        """Runs compose; what it printed goes into the error if it fails."""
        command = [*self._compose, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=_UP_TIMEOUT)
        if done.returncode:
            pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}", pytrace=False)

    def containers(self, service: str) -> list[Any]:
        """The service's containers, stopped ones too; found by label, since compose 1 and 2 name them differently."""
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]
        found = self._engine.containers.list(all=True, filters={"label": labels})
        return sorted(found, key=lambda container: str(container.name))

    def run_beside(self, service: str, command: list[str]) -> Any:
        """A new container of the service's image in the project's network; the caller removes it."""
        image = self.containers(service)[0].attrs["Config"]["Image"]
        network = self._engine.networks.list(filters={"label": f"com.docker.compose.project={self.name}"})[0]
        # Compose 2 labels the images that it builds, and a container would inherit that it belongs to the service.
        labels = {"com.docker.compose.project": "", "com.docker.compose.service": ""}
        return self._engine.containers.run(
            image,
            command,
            network=network.name,
            dns=["127.0.0.1"],
            dns_opt=["timeout:1", "attempts:1"],
            labels=labels,
            detach=True,
        )

    def is_healthy(self, container: Any) -> bool:
        """What the container's own health check says now."""
        container.reload()
        return bool(container.attrs["State"].get("Health", {}).get("Status") == "healthy")

    def logs(self) -> str:
        """The last lines of every container, for a failure's report."""
        parts = []
        for container in self._engine.containers.list(
            all=True, filters={"label": f"com.docker.compose.project={self.name}"}
        ):
            parts.append(
                f"--- {container.name} ({container.status})\n{container.logs(tail=20).decode(errors='replace')}"
            )
        return "\n".join(parts)


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Waits for a condition of the outside world; fails the test, naming it, when the time is over."""
    give_up_at = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up_at:
            pytest.fail(f"{what}: not within {timeout:g} s")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A client of the Docker engine."""
    try:
        client = _engine()
    except Missing as missing:
        _leave_out(missing)
    yield client
    client.close()


@pytest.fixture(scope="session")
def project(engine: Any) -> Iterator[Project]:
    """The compose project, up and healthy; down again, volumes too, at the end."""
    try:
        project = Project(engine, _compose_command(), _images(engine))
    except Missing as missing:
        _leave_out(missing)
    try:
        project.compose("up", "--detach", "--build")
        for service in ("zk1", "zk2", "zk3", "users"):
            for container in project.containers(service):
                wait_until(lambda: project.is_healthy(container), 60, f"{container.name} healthy")
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout", "2")


def _leave_out(missing: Missing) -> NoReturn:
    """Skips with the reason, or fails if the tier is required."""
    if "docker" in os.environ.get("ZKRPC_REQUIRE", "").split(","):
        pytest.fail(f"ZKRPC_REQUIRE names docker, but {missing}", pytrace=False)
    pytest.skip(str(missing))


def _engine() -> Any:
    """A client of an engine that answers. Raises Missing."""
    try:
        import docker
    except ImportError as error:
        raise Missing("the docker package is not installed (scripts/setup)") from error
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        raise Missing("there is no Docker engine here")
    try:
        return docker.from_env(timeout=30)
    except (docker.errors.DockerException, OSError) as error:
        raise Missing(f"no Docker engine answers: {error}") from error


def _compose_command() -> list[str]:
    """How to run compose here: the plugin, or the older program of its own. Raises Missing."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    raise Missing("neither docker compose nor docker-compose is installed")


def _images(engine: Any) -> dict[str, str]:
    """Which images compose shall use: what the environment says, else the official or the stand-in. Raises Missing."""
    present = {tag for image in engine.images.list() for tag in image.tags}
    chosen = {}
    for variable, names in (("ZOOKEEPER_IMAGE", _ZOOKEEPER_IMAGES), ("PYTHON_IMAGE", _PYTHON_IMAGES)):
        wanted = (os.environ[variable],) if variable in os.environ else names
        found = [name for name in wanted if name in present]
        if not found:
            raise Missing(f"there is no image {' or '.join(wanted)} (scripts/docker-images makes one)")
        chosen[variable] = found[0]
    return chosen


def _free_ports(*names: str) -> dict[str, str]:
    """A port for each name that nobody listens on now, below the ephemeral range."""
    ports: list[int] = []
    for port in range(20000 + os.getpid() % 10000, 32000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                ports.append(port)
        if len(ports) == len(names):
            return dict(zip(names, map(str, ports)))
    raise Missing("there is no free port between 20000 and 32000")
