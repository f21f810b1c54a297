"""The limit of descriptors at a server's start."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from zkrpc.server.descriptors import RESERVE, Plan, plan_limit

NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 1_048_576, 5000 + RESERVE),
        (1024, NONE, 5000 + RESERVE),
        (1024, 5000 + RESERVE, 5000 + RESERVE),
        (NONE, NONE, NONE),
        (65536, 65536, 65536),
    ],
)
def test_descriptors_are_raised_as_far_as_they_are_needed(soft: int, hard: int, expected: int) -> None:
    """Where the hard limit allows it nobody needs to hear of it."""
    assert plan_limit(5000, soft, hard) == Plan(expected, None)


def test_descriptors_that_do_not_suffice_are_a_warning() -> None:
    """One line, with what is needed, what there is, and what to do; what can be had is taken."""
    plan = plan_limit(10_000, 1024, 4096)
    assert plan.soft == 4096 and plan.warning is not None and "\n" not in plan.warning
    for part in ("max_connections=10000 needs 10100", "may have 4096", "3996 connections", "LimitNOFILE="):
        assert part in plan.warning
    assert "some 0 connections" in str(plan_limit(10_000, 50, 50).warning)


def test_descriptors_of_a_process_are_what_was_planned() -> None:
    """In a process of its own, whose limits may be changed."""
    code = (
        "import resource; from zkrpc.server.descriptors import provide_descriptors;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 500));"
        "print(provide_descriptors(200), provide_descriptors(1000), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.startswith("None max_connections=1000 needs 1100") and output.endswith("(500, 500)\n")
