"""``python -m bench``."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from pathlib import Path
from typing import Any

from bench import checks, machine, picture, table
from bench.plan import CALLERS, ROWS, Plan, quick, rows_named
from bench.run import run
from bench.values import WORKLOADS
from scripts.report import Report, add_json_flag


def main() -> int:
    """Runs the bench and prints its figures, then its checks."""
    options = _parse()
    # A run that is told to end takes its processes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = Plan(rows=options.peers, workloads=options.workloads, callers=options.callers, rounds=options.rounds)
    report, found = Report("bench", options.seed), machine.describe()
    figures = run(quick(plan) if options.quick else plan, random.Random(options.seed), _tell)
    checks.check(figures, report)
    if options.picture:
        picture.draw(figures, options.picture)
    if options.json:
        print(json.dumps({**report.as_object(), "machine": found, "figures": figures.as_object()}))
        return 0 if report.ok else 1
    print(machine.sentence(found), table.render(figures), "", sep="\n\n")
    return report.finish()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="How fast zkrpc is beside its peers.")
    parser.add_argument("--quick", action="store_true", help="only what is held to something, within a minute")
    parser.add_argument("--rounds", type=int, default=5, help="times that everything is measured")
    parser.add_argument("--workloads", type=_workloads, default=WORKLOADS, help=f"of {','.join(WORKLOADS)}")
    parser.add_argument("--callers", type=_numbers, default=CALLERS, help="numbers of callers, with commas between")
    parser.add_argument("--peers", type=_rows, default=rows_named(()), help=f"of {','.join(ROWS)}")
    parser.add_argument("--picture", type=Path, help="a PNG to draw")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chance begins with")
    add_json_flag(parser)
    return parser.parse_args()


def _workloads(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(WORKLOADS):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(WORKLOADS)}")
    return names


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def _rows(text: str) -> tuple[Any, ...]:
    try:
        return rows_named(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


sys.exit(main())
