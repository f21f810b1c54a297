"""The bill of materials: what is in it, and that it is CycloneDX as far as that can be judged without its schema."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import requires, version
from types import SimpleNamespace
from typing import Any

import pytest
from sbom import SUBJECT, bill, closure, licences, lock, normalised

from tests.support.programs import ROOT


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the script prints."""
    ended = subprocess.run([sys.executable, ROOT / "scripts" / "sbom.py"], capture_output=True, text=True, check=True)
    document = json.loads(ended.stdout)
    assert isinstance(document, dict)
    return document


def test_bill_has_the_form_of_cyclonedx(told: dict[str, Any]) -> None:
    """The keys that the format demands and no others, unique references, and no dependency that leads nowhere."""
    assert told.keys() == {
        "bomFormat",
        "specVersion",
        "serialNumber",
        "version",
        "metadata",
        "components",
        "dependencies",
    }
    assert (told["bomFormat"], told["specVersion"], told["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", told["serialNumber"])
    parts = [told["metadata"]["component"], *told["components"]]
    refs = [part["bom-ref"] for part in parts]
    assert len(set(refs)) == len(refs) and sorted(one["ref"] for one in told["dependencies"]) == sorted(refs)
    assert {ref for one in told["dependencies"] for ref in one["dependsOn"]} <= set(refs)
    for part in parts:
        assert part.keys() - {"licenses"} == {"type", "bom-ref", "name", "version", "purl"}
        assert part["purl"] == part["bom-ref"] == f"pkg:pypi/{part['name']}@{part['version']}"
        for one in part.get("licenses", ()):
            assert one.keys() == {"expression"} or (one.keys() == {"license"} and one["license"].keys() == {"name"})


def test_bill_has_all_that_is_needed_in_the_versions_that_are_installed(told: dict[str, Any]) -> None:
    """Whatever setup.cfg demands, what that needs in turn, and nothing of what only tests want."""
    listed = {part["name"]: part["version"] for part in told["components"]}
    wanted = [normalised(re.split(r"[<>=!~ ;\[]", line)[0]) for line in requires(SUBJECT) or () if "extra" not in line]
    assert len(wanted) > 5 and {name: version(name) for name in wanted}.items() <= listed.items()
    assert "greenlet" in listed and not {"pytest", "mypy", SUBJECT} & listed.keys()
    assert told["metadata"]["component"]["version"] == version(SUBJECT)
    assert any(part.get("licenses") for part in told["components"])


def test_same_versions_are_the_same_bill() -> None:
    """So that two builds can be compared."""
    needed = closure(SUBJECT)
    assert bill(SUBJECT, needed) == bill(SUBJECT, closure(SUBJECT))
    assert lock(needed).splitlines()[0] == f"cffi=={version('cffi')}" or "kazoo==" in lock(needed)


def test_parts_are_counted_in_where_they_are_asked_for() -> None:
    """By their names in setup.cfg; what is not installed needs nothing."""
    assert "jinja2" in closure(SUBJECT, ["dashboard"]).keys() - closure(SUBJECT).keys()
    assert closure("there-is-no-such-thing") == {}


def test_licence_is_an_expression_or_the_words_of_its_author() -> None:
    """Newer distributions have the first."""

    def of(**fields: Any) -> Any:
        found: Any = SimpleNamespace(metadata=SimpleNamespace(json=fields))
        return licences(found)

    assert of(license_expression="MIT") == [{"expression": "MIT"}]
    assert of(classifier=["License :: OSI Approved :: MIT License", "Typing :: Typed"]) == [
        {"license": {"name": "MIT License"}}
    ]
    assert of(license="Apache\n\nthe whole text") == [{"license": {"name": "Apache"}}] and of() == []
