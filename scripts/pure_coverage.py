"""Branch coverage of every pure module, measured by that module's own tests alone.

A machine that only looks covered because a server test drove through it has no tests of its own. So each module is
measured in a run of ``tests/<package>/test_<module>.py`` (all of ``tests/<package>`` if there is no such file) and
nothing else. Which modules are pure follows from the `pure` contract in setup.cfg: all but those it excepts, and but
the outermost layers, which are judged by what they do.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import configparser
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterable, NamedTuple

from report import Report, add_json_flag
from shape import module_name, modules_under

ROOT = Path(__file__).resolve().parent.parent
FLOOR = 95.0
OUTERMOST = ("zkrpc.__main__", "zkrpc.app", "zkrpc.cli", "zkrpc.dashboard.actions", "zkrpc.dev", "zkrpc.testing")
_MINUTES = 10 * 60


class Measured(NamedTuple):
    """A module's coverage in percent and what is missing; None and why if its tests did not pass."""

    percent: float | None
    note: str


def impure_patterns(setup_cfg: str) -> list[str]:
    """The importing side of every exception to the pure contract, wildcards included."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(setup_cfg)
    lines = parser.get("importlinter:contract:pure", "ignore_imports", fallback="").split("\n")
    return sorted({line.split("->")[0].strip() for line in lines if "->" in line})


def pure_modules(modules: Iterable[str], impure: Iterable[str]) -> list[str]:
    """The modules that no pattern names and that are in no outermost layer."""
    outside = [*impure, *OUTERMOST, *(f"{name}.*" for name in OUTERMOST)]
    return [name for name in modules if not any(fnmatch.fnmatchcase(name, pattern) for pattern in outside)]


def has_statements(source: str) -> bool:
    """False for an essay: a module of nothing but a docstring and its ``__future__`` line."""
    body = ast.parse(source).body
    return any(not isinstance(node, (ast.Expr, ast.ImportFrom)) or _imports(node) for node in body)


def _imports(node: ast.stmt) -> bool:
    """True for a ``from ... import`` that brings something in."""
    return isinstance(node, ast.ImportFrom) and node.module != "__future__"


def own_tests(root: Path, source: Path) -> Path | None:
    """The tests that must cover ``source``, None if there are none."""
    path = source.relative_to(root / "zkrpc")
    package = root / "tests" / path.parent
    own = package / f"test_{path.stem}.py"
    if path.name == "__init__.py":
        own = package / "test_exports.py" if path.parent == Path() else package
    candidates = [own] if path.parent == Path() else [own, package]
    return next((tests for tests in candidates if tests.exists()), None)


def measure(source: Path, tests: Path) -> Measured:
    """Runs ``tests`` under coverage and reads what they reached of ``source``."""
    with tempfile.TemporaryDirectory() as scratch:
        # Compiled parts are not seen by coverage, and what takes their place would not run beside them.
        environment = {**os.environ, "COVERAGE_FILE": f"{scratch}/data", "ZKRPC_PURE": "1"}
        python = [sys.executable, "-m"]
        include = f"--include={source}"
        run = ["coverage", "run", "--branch", "--source=zkrpc", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        steps = ([*run, str(tests)], ["coverage", "json", "-q", include, "-o", f"{scratch}/figures"])
        for step in steps:
            done = subprocess.run(
                python + step, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_MINUTES
            )
            if done.returncode:
                return Measured(None, f"{step[1]} failed: {why_failed(done.stdout + done.stderr)}")
        figures = json.loads(Path(scratch, "figures").read_text("utf-8"))
    return read_figures(figures["files"][str(source.relative_to(ROOT))])


def why_failed(output: str) -> str:
    """The tests that pytest says failed, each with its reason, else the last line: what a log that is all one has."""
    lines = output.strip().splitlines() or ["it printed nothing"]
    return "; ".join(line for line in lines if line.startswith(("FAILED ", "ERROR "))) or lines[-1]


def read_figures(figures: dict[str, Any]) -> Measured:
    """One file's part of coverage's JSON."""
    missing = [str(line) for line in figures["missing_lines"]]
    missing += [
        f"{start}->{end}" for start, end in figures["missing_branches"] if start not in figures["missing_lines"]
    ]
    shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
    return Measured(figures["summary"]["percent_covered"], f"missing {shown}" if shown else "")


def main() -> int:
    """Measures all pure modules, two at a time, and reports each against the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="only these modules (zkrpc.wire.frames ...)")
    add_json_flag(parser)
    options = parser.parse_args()
    report = Report("coverage")
    paths = [path for path in modules_under(ROOT) if has_statements(path.read_text("utf-8"))]
    sources = {module_name(ROOT, path): path for path in paths}
    pure = pure_modules(sources, impure_patterns((ROOT / "setup.cfg").read_text("utf-8")))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        running = {}
        for module in options.modules or pure:
            tests = own_tests(ROOT, sources[module])
            running[module] = executor.submit(measure, sources[module], tests) if tests else None
        for module, future in running.items():
            with report.guard(module, FLOOR, comparison=">="):
                percent, note = future.result() if future else Measured(None, "it has no tests of its own")
                report.check(module, percent, FLOOR, comparison=">=", note=note)
    return report.finish(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
