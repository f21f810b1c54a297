"""The figures contract that every script with ``--json`` keeps."""

from __future__ import annotations

import argparse
import io
import json

import pytest
from report import Report, add_json_flag


def _report(seed: int | None = 7) -> Report:
    """A report whose clock advances a second at every look."""
    ticks = iter(range(100))
    return Report("bench", seed, clock=lambda: float(next(ticks)))


def test_report_prints_the_agreed_object() -> None:
    """--json is one object with exactly the agreed keys."""
    report, out = _report(), io.StringIO()
    report.check("p99_ms", 1.5, 2.0)
    assert report.finish(as_json=True, out=out) == 0
    assert json.loads(out.getvalue()) == {
        "suite": "bench",
        "seed": 7,
        "seconds": 1.0,
        "checks": [{"name": "p99_ms", "value": 1.5, "bound": 2.0, "ok": True}],
    }


@pytest.mark.parametrize(
    ("value", "comparison", "bound", "ok"),
    [(1, "<", 2, True), (2, "<=", 2, True), (3, "==", 3, True), (2, ">=", 3, False), (3, ">", 3, False)],
)
def test_check_compares_value_with_bound(value: int, comparison: str, bound: int, ok: bool) -> None:
    """The comparison reads as it is written: value, sign, bound."""
    assert _report().check("figure", value, bound, comparison=comparison) is ok


def test_check_takes_a_verdict_from_outside() -> None:
    """A check whose rule is no plain comparison brings its own verdict."""
    report = _report()
    assert not report.check("order", "b a", "a b", ok=False)
    assert report.finish(out=io.StringIO()) == 1


def test_check_without_a_value_is_not_ok() -> None:
    """What could not be measured has not passed, whatever the caller claims."""
    assert not _report().check("p99_ms", None, 2.0, ok=True)


def test_guard_records_a_check_that_could_not_run() -> None:
    """An exception in one check fails that check and lets the next one run."""
    report, out = _report(), io.StringIO()
    with report.guard("first", 1):
        raise OSError("no server")
    report.check("second", 1, 1)
    assert report.finish(out=out) == 1
    assert "could not run: OSError: no server" in out.getvalue()
    assert [check.ok for check in report.checks] == [False, True]


def test_guard_keeps_silent_when_nothing_fails() -> None:
    """The guard alone records nothing; the block's own checks do."""
    report = _report()
    with report.guard("figure", 1):
        report.check("figure", 0, 1)
    assert len(report.checks) == 1


def test_report_without_checks_is_not_ok() -> None:
    """A suite that checked nothing must not look green."""
    out = io.StringIO()
    assert _report(seed=None).finish(out=out) == 1
    assert out.getvalue() == "bench: 0 checks, nothing was checked, 1.0 s\n"


def test_report_prints_an_aligned_table() -> None:
    """People read verdict, name, value, bound and note in columns."""
    report, out = _report(), io.StringIO()
    report.check("calls", 12345.678, 10000, comparison=">=")
    report.check("failed calls", 1, 0, note="see log")
    report.check("p50_ms", 0.123456, 1)
    report.finish(out=out)
    assert out.getvalue().splitlines() == [
        "ok      calls         12346   >= 10000",
        "FAILED  failed calls  1       <= 0      see log",
        "ok      p50_ms        0.1235  <= 1",
        "bench: 3 checks, 1 failed, 1.0 s, seed 7",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_report_is_coloured_on_a_terminal_unless_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts, by which nothing is told that the words do not tell."""
    report, bright, plain = _report(), _Terminal(), _Terminal()
    report.check("calls", 2, 1, comparison=">=")
    report.check("failed calls", 1, 0)
    monkeypatch.delenv("NO_COLOR", raising=False)
    report.finish(out=bright)
    assert bright.getvalue().splitlines()[:2] == [
        "\x1b[32mok\x1b[0m      calls         2  >= 1",
        "\x1b[31mFAILED\x1b[0m  failed calls  1  <= 0",
    ]
    monkeypatch.setenv("NO_COLOR", "1")
    report.finish(out=plain)
    assert "\x1b" not in plain.getvalue()


def test_json_flag_is_off_unless_given() -> None:
    """Every script spells the flag alike."""
    parser = argparse.ArgumentParser()
    add_json_flag(parser)
    assert parser.parse_args(["--json"]).json and not parser.parse_args([]).json
