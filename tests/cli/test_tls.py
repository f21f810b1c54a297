"""TLS from the command line, on both sides: ``zkrpc serve --tls-cert`` and the commands that call instances."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zkrpc
from examples.users import idl
from tests.support.certificates import Files
from tests.support.command import Command, await_registered
from zkrpc.errors import Unavailable

pytestmark = pytest.mark.zookeeper


def test_a_fleet_with_mutual_tls(command: Command, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path) -> None:
    """Its members say what they take; clients and commands with a certificate get in, and others are told why not."""
    files = Files(tmp_path)
    tls, client = files.server(clients="required"), files.client("operator.internal")
    command.serve(zookeeper, f"--tls-cert={tls.certificate}", f"--tls-key={tls.key}", f"--tls-ca={tls.ca}")
    (instance,) = await_registered(registry, 1).values()
    assert instance.tls

    with zkrpc.connect(idl.Users, "users", zookeeper=registry, tls=client) as users:
        assert users.options(timeout=30.0).get(42).name == "Ada"
    with zkrpc.connect(idl.Users, "users", zookeeper=registry) as users, pytest.raises(Unavailable) as caught:
        users.options(timeout=30.0).get(42)
    assert "it takes TLS only, says its record" in str(caught.value)

    flags = [f"--tls-ca={tls.ca}", f"--tls-cert={client.certificate}", f"--tls-key={client.key}"]
    status, output = command.run("call", "users.get", '{"id": 42}', "--timeout=60", "--zookeeper", zookeeper, *flags)
    assert status == 0 and json.loads(output)["name"] == "Ada"
    variables = {"ZKRPC_TLS_CA": tls.ca, "ZKRPC_TLS_CERT": client.certificate, "ZKRPC_TLS_KEY": client.key}
    where = f"--address={instance.endpoint}"
    status, output = command.run("health", where, "--timeout=30", **variables)
    assert (status, output) == (0, f"{instance.endpoint}: users is ready\n")
    status, output = command.run("health", where, "--timeout=5", ZKRPC_TLS_CA=tls.ca)
    assert status == 3 and "certificate required" in output.lower()
    status, output = command.run("explain", "users", "--zookeeper", zookeeper, "--ping-timeout=30", *flags)
    assert status == 0 and "answered" in output
