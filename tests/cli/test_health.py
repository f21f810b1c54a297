"""``zkrpc health``: for people, for programs, and for containers."""

from __future__ import annotations

import json

import pytest

import zkrpc
from tests.support.command import Command, await_registered

pytestmark = pytest.mark.zookeeper


def test_health_asks_all_instances_of_a_service(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """And single ports, ready and live, in words and as an object; a name that is served elsewhere is noticed."""
    command.serve(zookeeper, "--id=pair", "--workers=2")
    found = sorted(str(one.endpoint) for one in await_registered(registry, 2).values())
    status, output = command.run("health", "users", "--zookeeper", zookeeper, "--timeout=30")
    assert (status, sorted(output.splitlines())) == (0, [f"{one}: users is ready" for one in found])
    status, output = command.run("health", "--json", "users", "--timeout=30", ZKRPC_ZOOKEEPER=zookeeper)
    told = json.loads(output)
    assert status == 0 and told["ok"] and sorted(one["endpoint"] for one in told["instances"]) == found
    addresses = [f"--address={one}" for one in found]
    status, output = command.run("health", *addresses, "--liveness", "--timeout=30")
    assert (status, output.splitlines()) == (0, [f"{one}: users is live" for one in found])
    status, output = command.run("health", *addresses, "--address=127.0.0.1:1", "--timeout=30")
    assert status == 3 and output.splitlines()[2] == "127.0.0.1:1: Connection refused"
    # Not as plain as a container's probe, and the same.
    status, output = command.run("-v", "health", *addresses, "--timeout=30")
    assert (status, output.splitlines()) == (0, [f"{one}: users is ready" for one in found])
    for flags in ([], ["-v"]):
        status, output = command.run(*flags, "health", addresses[0], "--group=main", "--timeout=30")
        assert (status, output) == (3, f"{found[0]}: users has no group 'main' that elects a primary\n")


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["users", "--zookeeper=127.0.0.1:1", "--timeout=0.3"], 1, "no ZooKeeper at 127.0.0.1:1 within 0.3 s"),
        (["users"], 2, "a SERVICE is found in ZooKeeper: give --zookeeper HOSTS"),
        ([], 2, "give either a SERVICE or --address HOST:PORT"),
        (["users", "--address=h:1"], 2, "give either a SERVICE or --address HOST:PORT"),
        (["--address=nowhere"], 78, "'nowhere' is not an endpoint"),
        (
            ["users", "--zookeeper=h:1", "--group=main"],
            2,
            "give --address HOST:PORT; zkrpc primary users says who leads",
        ),
        (["--address=h:1", "--timeout=0"], 2, "0.0 is not in the range"),
    ],
)
def test_health_explains_what_is_wrong(arguments: list[str], status: int, complaint: str, command: Command) -> None:
    """ZooKeeper away, and command lines that say too little or too much."""
    ended, output = command.run("health", *arguments)
    assert ended == status and complaint in output and "Traceback" not in output


def test_health_of_a_service_without_instances(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Nobody is there to be ready; a name that was never served is explained as everywhere."""
    registry.session.znodes.ensure_path("/services/ghosts/members")
    status, output = command.run("health", "ghosts", "--zookeeper", zookeeper)
    assert status == 1 and "no instance of 'ghosts' is registered" in output
    status, output = command.run("health", "ghost", "--zookeeper", zookeeper)
    assert status == 1 and "did you mean ghosts?" in output
