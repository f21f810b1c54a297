"""Programs of Debian's that tests run beside zkrpc: those on the path, or fetched once with apt-get, without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
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
            _fetch([package], home)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{package} cannot be fetched: {error}")
        found = str(kept)
    return found


def java_libraries(name: str, *packages: str) -> list[Path]:
    """The jars of these packages, unpacked below ``.cache`` under a common name; the test is skipped as in
    :func:`program`."""
    home = ROOT / ".cache" / "debian" / name
    if not home.exists():
        if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
            pytest.skip(f"no apt-get to fetch {', '.join(packages)} with")
        try:
            _fetch(packages, home)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{', '.join(packages)} cannot be fetched: {error}")
    # Each jar has several names, for each version of Debian's and of its own.
    return sorted({jar.resolve() for jar in (home / "usr" / "share" / "java").glob("*.jar")})


def _fetch(packages: Sequence[str], home: Path) -> None:
    """Fetches beside ``home`` and renames, so that tests at the same time never see half a folder. The machine's lists
    of packages may be missing, as in a fresh container; then lists of our own are fetched."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        try:
            _apt(scratch, "download", *packages)
        except subprocess.CalledProcessError:
            lists = Path(scratch, "lists")
            (lists / "partial").mkdir(parents=True)
            own = ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={scratch}", "-o", "Debug::NoLocking=1")
            _apt(scratch, *own, "update")
            _apt(scratch, *own, "download", *packages)
        for file in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(file), str(fresh)], check=True, capture_output=True, timeout=_BOUND)
        try:
            os.rename(fresh, home)
        except OSError:
            if not home.exists():  # else somebody else was quicker
                raise


def _apt(folder: str, *arguments: str) -> None:
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_BOUND)
