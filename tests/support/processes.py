"""Python processes that end with the test that started them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from tests.support.programs import ROOT

Process = subprocess.Popen[str]


@contextmanager
def python(*arguments: str) -> Iterator[Process]:
    """A running interpreter with pipes; killed and reaped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-u", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: Process, seconds: float = 60.0) -> str:
    """What it prints first; the hub goes on meanwhile."""
    assert process.stdout is not None
    with gevent.Timeout(seconds):
        line: str = gevent.get_hub().threadpool.apply(process.stdout.readline)
    return line


def output(*arguments: str, seconds: float = 60.0) -> str:
    """All that an interpreter prints until it ends; the hub goes on meanwhile."""
    with gevent.Timeout(seconds), python(*arguments) as process:
        assert process.stdout is not None
        text: str = gevent.get_hub().threadpool.apply(process.stdout.read)
    return text
