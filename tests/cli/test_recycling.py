"""``zkrpc serve --max-…``: workers that have served long enough are replaced, and callers notice nothing."""

from __future__ import annotations

import signal

import pytest

import zkrpc
from tests.support.command import Command, await_registered, registered
from tests.support.programs import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.zookeeper

users = zkrpc.load(ROOT / "idl" / "users.thrift")


@pytest.mark.parametrize("limit", ["--max-calls=20", "--max-memory=1M", "--max-age=0.5"])
def test_worn_workers_are_replaced_one_after_another(
    limit: str, command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """Both of them, under their names; every call is answered, and there is never one worker fewer."""
    program = command.serve(zookeeper, "--id=pair", "--workers=2", limit)
    await_registered(registry, 2)
    processes: dict[str, set[str]] = {"pair-0": set(), "pair-1": set()}
    fewest = 2

    def look() -> bool:
        nonlocal fewest
        found = registered(registry)
        fewest = min(fewest, len(found))
        for name, instance in found.items():
            processes[name].add(instance.metadata["pid"])
        for _ in range(10):
            assert stub.get(42).name == "Ada"
        return min(map(len, processes.values())) > 1

    config = zkrpc.ClientConfig(timeout=20.0)
    with zkrpc.connect(users.Users, "users", zookeeper=registry, config=config) as stub:
        eventually(look, 240.0)
    assert fewest == 2
    program.tell(signal.SIGTERM)
    assert program.wait() == 0 and " is recycled: it " in program.output
