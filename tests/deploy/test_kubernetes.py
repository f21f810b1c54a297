"""The manifests are what Kubernetes takes, and say what the documentation promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from tests.support.programs import ROOT
from zkrpc.cli.health import health
from zkrpc.cli.serve import serve
from zkrpc.config import ElectionConfig, ServerConfig

FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
GRACE = 6.0  # docs/stopping.md: after which the supervisor kills what does not end


def documents(name: str) -> list[dict[str, Any]]:
    """The objects of a file."""
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one]


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each pod that serves something of ours, and its container."""
    for name in ("users.yaml", "ledger.yaml"):
        for one in documents(name):
            if one["kind"] in ("Deployment", "StatefulSet"):
                pod = one["spec"]["template"]["spec"]
                yield pod, pod["containers"][0]


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("version", ["1.27", "1.33"])
def test_objects_obey_the_schemas_of_kubernetes(name: str, version: str) -> None:
    """Strictly: a misspelt field is an error and not ignored."""
    assert documents(name)
    for one in documents(name):
        kubernetes_validate.validate(one, version, strict=True)


def test_base_lists_every_manifest() -> None:
    """And the images that an overlay may exchange are those that are used."""
    (base,) = documents("kustomization.yaml")
    assert sorted(base["resources"]) == MANIFESTS
    assert {image["name"] for image in base["images"]} == {container["image"] for _, container in containers()}


def test_commands_are_ours_with_options_that_there_are() -> None:
    """A flag that was renamed would only be noticed in a cluster."""
    known = {flag for option in serve.params for flag in option.opts}
    for _, container in containers():
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


def test_nobody_is_killed_while_he_drains() -> None:
    """The grace is longer than the bound of a stop; and there is no hook before it, as none is needed."""
    server, election = ServerConfig(), ElectionConfig()
    for pod, container in containers():
        bound = server.linger + server.drain_timeout + GRACE
        if "ledger" in container["name"]:
            bound += election.hand_over_timeout
        assert pod["terminationGracePeriodSeconds"] > bound
        assert "lifecycle" not in container


def test_an_eviction_takes_one_at_a_time() -> None:
    """Of ZooKeeper, as two of three are a quorum, and of each service."""
    budgets = [one for name in MANIFESTS for one in documents(name) if one["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == 3 and all(one["spec"]["maxUnavailable"] == 1 for one in budgets)
