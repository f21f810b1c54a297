"""``python -m fuzz``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from fuzz.campaign import HANG, MEMORY, Result, replay, run
from fuzz.targets import targets
from scripts.report import Report, add_json_flag


def main() -> int:
    """Runs a campaign and prints its figures."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Feeds everything that reads what others wrote with bytes that chance has spoilt.",
    )
    parser.add_argument("--inputs", type=int, default=20_000, help="how many, shared out among the targets")
    parser.add_argument("--seed", type=int, default=1, help="what chance begins with")
    parser.add_argument("--only", default="", help="targets, with commas between")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="feeds an input that was kept, and nothing else")
    parser.add_argument("--guided", metavar="TARGET", help="has atheris look for inputs that reach new code")
    add_json_flag(parser)
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    with targets() as found:
        wanted = {*only, *([options.guided] if options.guided else [])}
        if options.replay:
            wanted.add(options.replay.name.partition("-")[0])
        if unknown := wanted - found.keys():
            parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    logging.disable(logging.CRITICAL)
    if options.guided:
        from fuzz.guided import guided

        return guided(options.guided, options.inputs, options.seed)
    if options.replay:
        tally = replay(options.replay)
        print("\n".join(dict.fromkeys(tally.errors)) or "nothing went wrong")
        return 1 if tally.errors else 0
    report = Report("fuzz", options.seed)
    fill(report, run(options.inputs, options.seed, only))
    return report.finish(as_json=options.json)


def fill(report: Report, result: Result) -> None:
    """The figures of a campaign, each beside what it is held to."""
    for name, tally in result.tallies.items():
        pace = round(tally.inputs / max(tally.seconds, 1e-6))
        note = "; ".join((*tally.errors[:3], *(f"scripts/fuzz --replay {file}" for file in tally.files[:1])))
        report.check(f"{name}: inputs", tally.inputs, 1, comparison=">=", note=f"{pace} a second")
        report.check(f"{name}: crashes", tally.crashes, 0, comparison="==", note=note)
        report.check(f"{name}: hangs, over {HANG:g} s", tally.hangs, 0, comparison="==", note=note)
        report.check(f"{name}: answers with a canary", tally.leaks, 0, comparison="==", note=note)
    note = f"{result.start:.0f} MiB at the start, {result.end:.0f} at the end"
    report.check("resident memory at most, MiB over the start", round(result.most - result.start, 1), MEMORY, note=note)
    grown = round(result.end - result.start, 1)
    report.check("resident memory at the end, MiB over the start", grown, MEMORY, note=note)
    total = sum(tally.inputs for tally in result.tallies.values())
    report.check("inputs in all", total, 1, comparison=">=")


if __name__ == "__main__":
    sys.exit(main())
