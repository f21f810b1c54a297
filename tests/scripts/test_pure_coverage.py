"""Which modules scripts/coverage holds to its floor, and which tests count as a module's own."""

from __future__ import annotations

from pathlib import Path

import pure_coverage
import pytest

_SETUP_CFG = """
[importlinter:contract:pure]
ignore_imports =
    zkrpc.zookeeper.session -> kazoo
    zkrpc.zookeeper.session -> gevent
    zkrpc.server.* -> gevent
[importlinter:contract:thrift]
ignore_imports =
    zkrpc.codec -> thrift
"""


def test_impure_patterns_come_from_the_pure_contract_only() -> None:
    """An exception to another contract makes no module impure."""
    assert pure_coverage.impure_patterns(_SETUP_CFG) == ["zkrpc.server.*", "zkrpc.zookeeper.session"]


def test_impure_patterns_of_a_contract_without_exceptions_are_none() -> None:
    """A young tree excepts nothing."""
    assert pure_coverage.impure_patterns("[importlinter:contract:pure]\nname = x\n") == []


def test_pure_modules_leave_out_shells_and_outermost_layers() -> None:
    """Wildcards count; a module whose name only begins like a shell's stays."""
    modules = ["zkrpc.call", "zkrpc.app", "zkrpc.cli.main", "zkrpc.server", "zkrpc.server.server", "zkrpc.application"]
    assert pure_coverage.pure_modules(modules, ["zkrpc.server.*"]) == [
        "zkrpc.call",
        "zkrpc.server",
        "zkrpc.application",
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("call.py", "tests/test_call.py"),
        ("__init__.py", "tests/test_exports.py"),
        ("wire/__init__.py", "tests/wire"),
        ("wire/frames.py", "tests/wire/test_frames.py"),
        ("wire/varint.py", "tests/wire"),
        ("deadline.py", None),
        ("client/resolver.py", None),
    ],
)
def test_own_tests_are_the_mirroring_ones(tmp_path: Path, source: str, found: str | None) -> None:
    """The module's own test module, else its package's tests, never those of another package."""
    (tmp_path / "tests/wire").mkdir(parents=True)
    for name in ("test_call.py", "test_exports.py", "wire/test_frames.py"):
        (tmp_path / "tests" / name).touch()
    assert pure_coverage.own_tests(tmp_path, tmp_path / "zkrpc" / source) == (tmp_path / found if found else None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Essay."""\n', False),
        ('"""Essay."""\nfrom __future__ import annotations\n', False),
        ('"""Door."""\nfrom zkrpc.wire import frames\n', True),
        ("import enum\n", True),
    ],
)
def test_essay_has_no_statements(source: str, expected: bool) -> None:
    """A package's theory of operation is not code to be covered."""
    assert pure_coverage.has_statements(source) is expected


def test_figures_name_what_is_missing() -> None:
    """Lines and branches that no test took are listed; a branch out of a missing line is not named twice."""
    figures = {
        "summary": {"percent_covered": 80.0},
        "missing_lines": [3],
        "missing_branches": [[3, 4], [7, 9]],
    }
    assert pure_coverage.read_figures(figures) == (80.0, "missing 3, 7->9")


def test_full_coverage_needs_no_note() -> None:
    """Nothing missing, nothing said."""
    figures = {"summary": {"percent_covered": 100.0}, "missing_lines": [], "missing_branches": []}
    assert pure_coverage.read_figures(figures) == (100.0, "")


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            "..F\nE  no\nFAILED tests/a.py::b - assert 3 < 2\n1 failed, 2 passed in 1s\n",
            "FAILED tests/a.py::b - assert 3 < 2",
        ),
        (
            "ERROR tests/a.py - ImportError\nFAILED tests/b.py::c\n",
            "ERROR tests/a.py - ImportError; FAILED tests/b.py::c",
        ),
        ("No source for code.\nAborting.\n", "Aborting."),
        ("", "it printed nothing"),
    ],
)
def test_failure_names_the_tests_that_failed(output: str, why: str) -> None:
    """A count alone sends whoever reads the log back to run it all again."""
    assert pure_coverage.why_failed(output) == why
