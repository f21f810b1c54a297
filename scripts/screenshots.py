#!/usr/bin/env python3
"""Takes the pictures in the README: docs/dashboard-{light,dark}.png of two live services, and docs/demo.svg of
scripts/demo, with docs/demo-still.svg for those who want no motion.

scripts/screenshots.py [dashboard] [demo]; both if none is named. Of a demo whose machine was too busy for it, so that
a check failed, no picture is kept.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from terminal_picture import draw, screens

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import browser  # noqa: E402  # the project's folder is not on the path before
from zkrpc.dev.zookeeper import DevZooKeeper  # noqa: E402

_START_TIMEOUT = 60.0
_SIZE = {"width": 1100, "height": 640}
_COLUMNS, _ROWS = 108, 12
_DEMO = ["scripts/demo", "--quick"]
_ABOUT = (
    "Two services under load in a terminal. Workers are killed, drained and joined, the primary and then all of"
    " ZooKeeper are taken away; calls go on, and in the end all checks are ok."
)


def main() -> int:
    """Takes the pictures that are named."""
    named = sys.argv[1:] or ["dashboard", "demo"]
    pictures = {"dashboard": take_dashboard, "demo": take_demo}
    if unknown := [name for name in named if name not in pictures]:
        raise SystemExit(f"there is no picture {unknown[0]!r}; there are {', '.join(pictures)}")
    for name in named:
        pictures[name]()
    return 0


def take_demo() -> None:
    """Runs the demo in a terminal, and draws what it wrote there, when it wrote it."""
    written = list(_recorded(_DEMO))
    shown = screens(written, _ROWS)
    for name, part in (("demo", shown), ("demo-still", shown[-1:])):
        picture = draw(part, title=" ".join(_DEMO), about=_ABOUT, columns=_COLUMNS, rows=_ROWS)
        (ROOT / "docs" / f"{name}.svg").write_text(picture)


def _recorded(command: list[str]) -> Iterator[tuple[float, str]]:
    """What a command writes to a terminal of its own, with the time of each piece."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""}
    program = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    decoder = codecs.getincrementaldecoder("utf-8")()
    with contextlib.suppress(OSError):  # so a terminal tells that its other end is closed
        while part := os.read(ours, 1 << 16):
            yield time.monotonic(), decoder.decode(part)
    os.close(ours)
    if program.wait():
        raise SystemExit("the demo failed on this machine, just now: no picture of it")


def take_dashboard() -> None:
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
