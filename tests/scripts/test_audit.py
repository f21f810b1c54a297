"""What is said of known faults, and of a database that tells nothing."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import audit
import pytest

FAULT = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.1"], "description": "long"}


def part(name: str, *faults: dict[str, Any]) -> dict[str, Any]:
    """A package as pip-audit tells of it."""
    return {"name": name, "version": "2.0", "vulns": list(faults)}


def skipped(name: str) -> dict[str, Any]:
    """One that it knows nothing of."""
    return {"name": name, "skip_reason": f"not found: {name}"}


def test_known_fault_fails_and_is_named() -> None:
    """With its numbers and the version that mends it."""
    status, lines = audit.judge({"dependencies": [part("a", FAULT), part("b"), skipped("c")]})
    assert (status, lines) == (
        1,
        ["a 2.0: PYSEC-1, CVE-2026-1, mended in 2.1", "audit: 2 packages, 1 known faults; nothing is known of c"],
    )
    assert audit.judge({"dependencies": [part("a", {"id": "X"})]})[1][0] == "a 2.0: X, mended in no version"


def test_nothing_known_is_good() -> None:
    """And says of how many."""
    assert audit.judge({"dependencies": [part("a"), part("b")]}) == (0, ["audit: 2 packages, 0 known faults"])


def test_database_that_tells_nothing_is_left_out_aloud() -> None:
    """It must not look like a good answer."""
    assert audit.judge({"dependencies": [skipped("a"), skipped("b")]}) == (
        0,
        ["audit: LEFT OUT, the advisory database tells nothing of 2 packages: not found: a"],
    )
    assert audit.judge({}) == (0, ["audit: LEFT OUT, the advisory database tells nothing of 0 packages"])


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            'echo \'{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}\'',
            {"dependencies": [part("a") | {"version": "1"}]},
        ),
        ("echo no JSON", {}),
        ("echo []", {}),
        ("exit 3", {}),
    ],
)
def test_auditor_that_fails_has_told_nothing(tmp_path: Path, script: str, told: dict[str, Any]) -> None:
    """Without a network it ends with a traceback."""
    command = tmp_path / "pip-audit"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    assert audit.ask(str(command), "a==1\n") == told
