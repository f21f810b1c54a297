#!/usr/bin/env python3
"""Asks whether a version that the tests run with is known to be faulty: what zkrpc needs, with the parts named in
``EXTRAS``, as it is installed beside this Python, by ``pip-audit`` and the advisory database of the Python index.

Fails if one is. Where ``pip-audit`` is not installed, or the database tells nothing, it is left out in so many words,
and fails nothing; ``--install`` gets ``pip-audit`` into an environment of its own first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from sbom import SUBJECT, closure, lock

EXTRAS = ("dashboard", "otel")
HOME = Path(__file__).resolve().parent.parent / ".cache" / "audit"
_SECONDS = 120
_WAIT = "5"


def judge(told: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit status and what to say, from what ``pip-audit`` tells as JSON."""
    parts = told.get("dependencies", [])
    known = [one for one in parts if "skip_reason" not in one]
    if not known:
        reasons = sorted({str(one["skip_reason"]) for one in parts})
        why = f": {reasons[0]:.100}" if reasons else ""
        return 0, [f"audit: LEFT OUT, the advisory database tells nothing of {len(parts)} packages{why}"]
    lines = [
        f"{one['name']} {one['version']}: {', '.join([fault['id'], *fault.get('aliases', ())])}, "
        f"mended in {', '.join(fault.get('fix_versions') or ['no version']) }"
        for one in known
        for fault in one["vulns"]
    ]
    unknown = [str(one["name"]) for one in parts if "skip_reason" in one]
    told_of = f"; nothing is known of {', '.join(unknown)}" if unknown else ""
    return int(bool(lines)), [*lines, f"audit: {len(known)} packages, {len(lines)} known faults{told_of}"]


def find(install: bool) -> str | None:
    """The command; None if it is not installed, or cannot be."""
    places = [Path(sys.executable).parent / "pip-audit", HOME / "bin" / "pip-audit"]
    found = next((str(one) for one in places if one.exists()), shutil.which("pip-audit"))
    if found is not None or not install:
        return found
    venv.create(HOME, with_pip=True)
    command = [str(HOME / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "pip-audit"]
    done = subprocess.run(command, capture_output=True, timeout=5 * _SECONDS).returncode == 0
    return str(places[1]) if done else None


def ask(command: str, versions: str) -> dict[str, Any]:
    """What ``pip-audit`` tells; nothing if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lock.txt"
        file.write_text(versions)
        options = ["--disable-pip", "--no-deps", "--progress-spinner", "off", "--timeout", _WAIT, "--format", "json"]
        try:
            done = subprocess.run(
                [command, "--requirement", str(file), *options], capture_output=True, text=True, timeout=_SECONDS
            )
            told = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError):
            return {}
    return told if isinstance(told, dict) else {}


def main(arguments: list[str]) -> int:
    """Asks and tells."""
    parser = argparse.ArgumentParser(description="known faults in what the tests run with")
    parser.add_argument(
        "--install", action="store_true", help="install pip-audit, into .cache/audit, if it is not there"
    )
    command = find(parser.parse_args(arguments).install)
    if command is None:
        print("audit: LEFT OUT, pip-audit is not installed; scripts/audit.py --install gets it")
        return 0
    status, lines = judge(ask(command, lock(closure(SUBJECT, EXTRAS))))
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
