"""A real Prometheus finds the workers of a service in ZooKeeper, and reads what they say."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import zkrpc
from tests.support.programs import ROOT, Program, Programs
from tests.support.prometheus import Prometheus, promtool
from tests.support.waiting import eventually
from zkrpc.metrics.table import TABLE

pytestmark = pytest.mark.zookeeper


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs that end with the test."""
    started = Programs(tmp_path)
    yield started
    started.close()


def serve(programs: Programs, zookeeper: str, folder: Path, *options: str) -> Program:
    """Three workers of the users example."""
    arguments = ("serve", "examples.users:service", "--zookeeper", zookeeper, "--linger=0", "--workers=3", *options)
    return programs.python("-m", "zkrpc", *arguments, USERS_DATABASE=str(folder / "users.sqlite"))


def config_of_the_page(zookeeper: str) -> str:
    """The config that docs/admin.md shows, for this ensemble and its chroot, scraping often."""
    page = (ROOT / "docs" / "admin.md").read_text()
    (config,) = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert len(config.splitlines()) <= 7
    hosts, _, chroot = zookeeper.partition("/")
    config = config.replace('"127.0.0.1:2181"', ", ".join(f'"{host}"' for host in hosts.split(",")))
    return "global: {scrape_interval: 1s}\n" + config.replace("[/services", f"[/{chroot}/services")


def up(prometheus: Prometheus) -> set[str]:
    """The instances that were scraped last time."""
    return {labels["instance"] for labels, value in prometheus.query('up{job="users"}') if value == 1}


def test_prometheus_finds_every_worker_and_follows_a_restart(
    programs: Programs, zookeeper: str, tmp_path: Path
) -> None:
    """By the six lines of the documentation: three workers, and within 15 s of its registration the one that takes the
    place of one that is killed."""
    served = serve(programs, zookeeper, tmp_path, "--id=me")
    config = config_of_the_page(zookeeper)
    prometheus = Prometheus(programs, tmp_path, config)
    names = {"me-0", "me-1", "me-2"}
    eventually(lambda: up(prometheus) == names, 120)
    registered = prometheus.query("zkrpc_registered")
    assert {labels["instance"]: value for labels, value in registered} == dict.fromkeys(names, 1.0)
    (before,) = prometheus.query('process_start_time_seconds{instance="me-1"}')
    killed = registered_at(zookeeper, "me-1")
    os.kill(process_of(served, "me-1"), signal.SIGKILL)

    def follows() -> bool:
        found = prometheus.query('process_start_time_seconds{instance="me-1"}')
        return bool(found) and found[0][1] > before[1] and up(prometheus) == names

    eventually(follows, 60)
    # By the clocks of the worker and of Prometheus, so that it matters little when this process gets to look.
    scraped = prometheus.samples('process_start_time_seconds{instance="me-1"}', "10m")
    followed_at, again = min(at for at, start in scraped if start > before[1]), registered_at(zookeeper, "me-1")
    print(f"scraped {followed_at - again:.1f} s after it was registered again")
    assert killed < again and followed_at - again < 15
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def registered_at(zookeeper: str, name: str) -> float:
    """When the worker of this name that there is now began to be registered, in seconds since 1970."""
    with zkrpc.Registry(zookeeper) as registry:
        return next(one.started_at for one in registry.resolver("users").wait_ready(60).instances if one.id == name)


def process_of(served: Program, name: str) -> int:
    """The process of a worker, of the supervisor's children."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    for child in map(int, children):
        if f"--id={name}".encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return child
    raise AssertionError(f"there is no worker {name}")


def test_promtool_has_no_complaint_about_the_metrics(programs: Programs, zookeeper: str, tmp_path: Path) -> None:
    """Of one worker, and of all of them: they can be read, and their names and sentences are as they should be."""
    served = serve(programs, zookeeper, tmp_path)
    eventually(lambda: re.search(r"metrics of all workers at \S+", served.output), 60)
    found = re.search(r"metrics of all workers at (\S+)", served.output)
    assert found is not None

    def page() -> str:
        with urllib.request.urlopen(f"{found[1]}/metrics", timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    eventually(lambda: page().count('zkrpc_registered{worker="') == 3, 60)
    text = page()
    there = {name: kind for name, kind in re.findall(r"^# TYPE ((?:zk)?rpc_\S+) (\w+)$", text, re.MULTILINE)}
    assert there == {"zkrpc_worker_up": "gauge", **{one.name: one.kind.value for one in TABLE}}
    promtool("check", "metrics", given=text)
