"""A real browser: Debian's Chromium, steered by Playwright."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.programs import ROOT

_INSTALL_TIMEOUT = 600
_LAUNCH_TIMEOUT = 120_000
"""Milliseconds."""
_ARGUMENTS = [
    "--no-sandbox",  # tests may run as root, where Chromium has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def find_chromium() -> str:
    """The path of Chromium; skips the test if there is none and it cannot be installed. Tests at the same time install
    it once, and none of them finds half of it."""
    lock = ROOT / ".cache" / "chromium.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        return _find_or_install()


def _find_or_install() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-qy", "--no-install-recommends", "chromium"],
        ):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(command, capture_output=True, timeout=_INSTALL_TIMEOUT, env=environment)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("there is no Chromium; Debian: apt-get install chromium")
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """A browser, as Playwright has it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find_chromium(), args=_ARGUMENTS, timeout=_LAUNCH_TIMEOUT)
        try:
            yield started
        finally:
            started.close()
