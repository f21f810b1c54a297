"""A suite's figures: one table for people, one JSON object for machines, one exit status for both.

Every script that measures something hands its figures to a `Report`. It knows nothing of what is measured. Its one
opinion: a figure that could not be measured has not passed, and neither has a report that checked nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import operator
import os
import sys
import time
from typing import Any, Callable, Iterator, Literal, TextIO

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
Style = Literal["bold", "red", "green", "yellow", "blue"]
_CODES: dict[Style, int] = {"bold": 1, "red": 31, "green": 32, "yellow": 33, "blue": 34}


def wants_colour(out: TextIO) -> bool:
    """Whether somebody looks at it who has not said that he wants none."""
    return out.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, style: Style) -> str:
    """The text as a terminal shows it in that style."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure beside the bound it was held to; ``value`` is None when it could not be measured."""

    name: str
    value: Any
    bound: Any
    ok: bool
    comparison: str = "<="
    note: str = ""

    def as_row(self) -> tuple[str, ...]:
        """The cells of the table for people."""
        bound = f"{self.comparison} {_text(self.bound)}"
        return ("ok" if self.ok else "FAILED", self.name, _text(self.value), bound, self.note)


class Report:
    """The checks of one run of ``suite``; ``seed`` is what would repeat it, None if nothing was left to chance."""

    def __init__(self, suite: str, seed: int | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.suite = suite
        self.seed = seed
        self.checks: list[Check] = []
        self._clock = clock
        self._started_at = clock()

    @property
    def ok(self) -> bool:
        """True if something was checked and all of it passed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def check(
        self, name: str, value: Any, bound: Any, *, ok: bool | None = None, comparison: str = "<=", note: str = ""
    ) -> bool:
        """Records ``value comparison bound`` and says whether it holds; ``ok`` overrules the comparison.

        A value of None means "could not be measured" and is never ok.
        """
        if value is None:
            ok = False
        elif ok is None:
            ok = bool(_COMPARISONS[comparison](value, bound))
        self.checks.append(Check(name=name, value=value, bound=bound, ok=ok, comparison=comparison, note=note))
        return ok

    @contextlib.contextmanager
    def guard(self, name: str, bound: Any, *, comparison: str = "<=") -> Iterator[None]:
        """Turns an exception out of the block into a failed check of that name, so that the others still run."""
        try:
            yield
        except Exception as error:
            note = f"could not run: {type(error).__name__}: {error}"
            self.check(name, None, bound, comparison=comparison, note=note)

    def as_object(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        keys = ("name", "value", "bound", "ok")
        return {
            "suite": self.suite,
            "seed": self.seed,
            "seconds": round(self._clock() - self._started_at, 3),
            "checks": [{key: getattr(check, key) for key in keys} for check in self.checks],
        }

    def table(self, *, coloured: bool = False) -> str:
        """What people read: a row for each check and a closing line."""
        rows = [check.as_row() for check in self.checks]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        if coloured:
            marks = [paint(row[0], "green" if check.ok else "red") for check, row in zip(self.checks, rows)]
            lines = [mark + line[len(row[0]) :] for mark, row, line in zip(marks, rows, lines)]
        failed = sum(not check.ok for check in self.checks)
        seed = "" if self.seed is None else f", seed {self.seed}"
        verdict = "nothing was checked" if not rows else f"{failed} failed" if failed else "all ok"
        seconds = self._clock() - self._started_at
        return "\n".join([*lines, f"{self.suite}: {len(rows)} checks, {verdict}, {seconds:.1f} s{seed}"])

    def finish(self, *, as_json: bool = False, out: TextIO | None = None) -> int:
        """Prints the report and returns the process's exit status: 0 only if everything passed."""
        out = out or sys.stdout
        told = json.dumps(self.as_object()) if as_json else self.table(coloured=wants_colour(out))
        print(told, file=out, flush=True)
        return 0 if self.ok else 1


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """Gives a script the ``--json`` flag in the words all of them share."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def _text(value: Any) -> str:
    """A figure as a cell: floats with as many digits as a reader wants, nothing for what was not measured."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
