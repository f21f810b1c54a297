"""Who keeps a core busy."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from faults.spinning import cpu_seconds, windows


def test_share_is_taken_over_the_window() -> None:
    """A process that uses half of each second has a share of a half in every window, and none before one is whole."""
    samples = [(float(second), second / 2) for second in range(8)]
    assert list(windows(samples)) == [(0.0, 5.0, 0.5), (1.0, 6.0, 0.5), (2.0, 7.0, 0.5)]


def test_short_effort_is_spread_over_its_window() -> None:
    """One busy second within five is a fifth of a core."""
    samples = [(0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (5.0, 1.0)]
    assert list(windows(samples)) == [(0.0, 5.0, 0.2)]


def test_cpu_seconds_is_that_of_the_process() -> None:
    """Work shows, and a process that is gone has none."""
    before = cpu_seconds(os.getpid())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert cpu_seconds(os.getpid()) - before >= 0.05
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        cpu_seconds(gone.pid)
