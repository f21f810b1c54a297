"""Programs of Debian's that tests run beside zkrpc: those on the path, or fetched once with apt-get, without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.programs import ROOT

_BOUND = 300


def program(name: str, package: str) -> str:
    """The path of the program. It is unpacked out of the package below ``.cache`` if it is not installed; the test is
    skipped where there is no apt-get either, or the package cannot be had."""
    home = ROOT / ".cache" / "debian" / package
    kept = home / "usr" / "bin" / name
    found = shutil.which(name) or (str(kept) if kept.exists() else None)
    if found is None:
        if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
            pytest.skip(f"no {name} here, and no apt-get to fetch it: install {package}")
        try:
            _fetch(package, home)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{package} cannot be fetched: {error}")
        found = str(kept)
    return found


def _fetch(package: str, home: Path) -> None:
    """Fetches beside ``home`` and renames, so that tests at the same time never see half a folder."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        subprocess.run(
            ["apt-get", "-qq", "-o", "APT::Sandbox::User=", "download", package],
            cwd=scratch,
            check=True,
            capture_output=True,
            timeout=_BOUND,
        )
        for file in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(file), str(fresh)], check=True, capture_output=True, timeout=_BOUND)
        if not home.exists():
            os.rename(fresh, home)
