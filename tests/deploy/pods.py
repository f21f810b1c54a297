"""What holds for every pod that serves something of ours, whatever wrote its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from click.testing import CliRunner

from zkrpc.cli.health import health
from zkrpc.cli.serve import serve
from zkrpc.config import ElectionConfig, ServerConfig
from zkrpc.server.supervision import KILL_GRACE

Document = dict[str, Any]


def parse(text: str) -> list[Document]:
    """The objects in some YAML."""
    return [one for one in yaml.safe_load_all(text) if one]


def serving(objects: Iterable[Document]) -> list[tuple[Document, Document]]:
    """Each pod that serves something of ours, and its container."""
    workloads = [one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]
    pods = [one["spec"]["template"]["spec"] for one in workloads if one["metadata"]["name"] != "zookeeper"]
    return [(pod, pod["containers"][0]) for pod in pods]


def check_command(container: Document) -> None:
    """It runs commands that there are, with options that they have: a flag that was renamed would only be noticed in a
    cluster."""
    known = {flag for option in serve.params for flag in option.opts}
    assert container["command"][:2] == ["zkrpc", "serve"]
    assert {argument.partition("=")[0] for argument in container["args"]} <= known
    named = {one["name"] for one in container["env"]}
    used = {name for argument in container["args"] for name in re.findall(r"\$\((\w+)\)", argument)}
    assert used <= named
    for probe in ("readinessProbe", "livenessProbe"):
        command = container[probe]["exec"]["command"]
        assert command[:2] == ["zkrpc", "health"]
        told = CliRunner().invoke(health, [*command[2:], "--timeout", "0.2"])
        assert told.exit_code == 3, told.output  # nobody serves here, and the options are understood


def check_grace(
    pod: Document, container: Document, *, linger: float | None = None, drain_timeout: float | None = None
) -> None:
    """The pod is not killed while it drains; and there is no hook before that, as none is needed."""
    server, election = ServerConfig(), ElectionConfig()
    bound = server.linger if linger is None else linger
    bound += server.drain_timeout if drain_timeout is None else drain_timeout
    bound += KILL_GRACE
    if "ledger" in container["name"]:
        bound += election.hand_over_timeout
    assert pod["terminationGracePeriodSeconds"] > bound
    assert "lifecycle" not in container
