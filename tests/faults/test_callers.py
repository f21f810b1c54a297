"""The load of callers that are threads, or tasks, in a program of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

import zkrpc
from faults import calls
from faults.callers import WORLDS, RemoteLoad, call_late

pytestmark = pytest.mark.zookeeper


@pytest.fixture
def serving(zookeeper: str) -> Iterator[str]:
    """The connect string of a ZooKeeper in which the probe is registered."""
    app = zkrpc.serve(calls.probe_service(), zookeeper=zookeeper)
    app.registrar.wait_registered(60)
    yield zookeeper
    app.kill()


@pytest.mark.parametrize("place", WORLDS)
def test_load_of_a_world_goes_on_until_it_is_stopped(serving: str, place: str, tmp_path: Path) -> None:
    """Half of its calls read and half write, each write under an id of its own, and all are told."""
    began = time.monotonic()
    load = RemoteLoad(place, serving, tmp_path, callers=8, interval=0.01, seed=1)
    gevent.sleep(0.5)
    load.stop()
    reads = [one for one in load.outcomes if one.idempotent]
    ids = [one.request_id for one in load.outcomes if not one.idempotent]
    assert not [one for one in load.outcomes if one.error] and reads and ids and len({*ids}) == len(ids)
    assert load.between(began, time.monotonic()) == load.outcomes


def test_client_that_starts_late_needs_no_zookeeper(serving: str, tmp_path: Path) -> None:
    """Its snapshot file will do."""
    with zkrpc.connect(calls.probe.idl.Probe, "probe", zookeeper=serving, snapshot_dir=tmp_path) as stub:
        stub.get("learn")
        while not (tmp_path / "probe.json").exists():
            gevent.sleep(0.01)
    assert call_late("asyncio", "127.0.0.1:1", tmp_path, 3) == 3
