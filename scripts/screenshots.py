#!/usr/bin/env python3
"""Takes the pictures of the dashboard that the README shows, of two live services: docs/dashboard-{light,dark}.png."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import browser  # noqa: E402  # the project's folder is not on the path before
from zkrpc.dev.zookeeper import DevZooKeeper  # noqa: E402

_START_TIMEOUT = 60.0
_SIZE = {"width": 1100, "height": 640}


def main() -> int:
    """Starts everything, takes the pictures, ends everything."""
    with contextlib.ExitStack() as ends, DevZooKeeper() as server:
        folder = ends.enter_context(tempfile.TemporaryDirectory())
        environment = {
            **os.environ,
            "LEDGER_DATABASE": f"{folder}/ledger.sqlite",
            "USERS_DATABASE": f"{folder}/users.sqlite",
            "ZKRPC_ZOOKEEPER": server.hosts,
        }

        def start(*arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "zkrpc", *arguments]
            program = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
            ends.callback(program.wait)
            ends.callback(program.terminate)
            return program

        for name in ("ledger", "users"):
            start("serve", f"examples.{name}:service", "--workers", "3", "--id", name)
        dashboard = start("dashboard", "--bind", "127.0.0.1:0")
        assert dashboard.stdout is not None
        address = dashboard.stdout.readline().strip()
        with browser() as chromium:
            _await_everybody(chromium, address)
            for _ in range(2):  # so that there is a history to show
                command = ["primary", "step-down", "ledger"]
                subprocess.run([sys.executable, "-m", "zkrpc", *command], env=environment, check=True)
            for scheme, path in (("light", "/services/ledger/primaries"), ("dark", "/services/ledger")):
                page = chromium.new_context(color_scheme=scheme, viewport=_SIZE).new_page()
                page.goto(f"{address.rstrip('/')}{path}")
                page.locator("#live", has_text="Live").wait_for()
                while "warms up" in page.inner_text("main"):  # for half a minute after a start
                    page.wait_for_timeout(1000)
                page.wait_for_timeout(4000)  # what has just changed is marked for a moment
                page.screenshot(path=str(ROOT / "docs" / f"dashboard-{scheme}.png"))
    return 0


def _await_everybody(chromium: Any, address: str) -> None:
    page, ends = chromium.new_page(), time.monotonic() + _START_TIMEOUT
    while page.goto(address):
        rows = page.locator("tbody tr").all_inner_texts()
        if len(rows) == 2 and all("\t3\t" in row for row in rows) and "epoch" in " ".join(rows):
            return
        if time.monotonic() > ends:
            raise SystemExit(f"not everybody came: {rows}")
        page.wait_for_timeout(200)


if __name__ == "__main__":
    sys.exit(main())
