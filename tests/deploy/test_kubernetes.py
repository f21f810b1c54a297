"""The manifests are what Kubernetes takes, and say what the documentation promises."""

from __future__ import annotations

import kubernetes_validate
import pytest

from tests.deploy.pods import Document, check_command, check_grace, parse, serving
from tests.support.programs import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")


def documents(name: str) -> list[Document]:
    """The objects of a file."""
    return parse((FOLDER / name).read_text())


def everything() -> list[Document]:
    """The objects of all files."""
    return [one for name in MANIFESTS for one in documents(name)]


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
    assert {image["name"] for image in base["images"]} == {pod["image"] for _, pod in serving(everything())}


def test_commands_are_ours_with_options_that_there_are() -> None:
    """Of both services."""
    pods = serving(everything())
    assert len(pods) == 2
    for _, container in pods:
        check_command(container)


def test_nobody_is_killed_while_he_drains() -> None:
    """The grace is longer than the bound of a stop; and there is no hook before it, as none is needed."""
    for pod, container in serving(everything()):
        check_grace(pod, container)


def test_an_eviction_takes_one_at_a_time() -> None:
    """Of ZooKeeper, as two of three are a quorum, and of each service."""
    budgets = [one for one in everything() if one["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == 3 and all(one["spec"]["maxUnavailable"] == 1 for one in budgets)
