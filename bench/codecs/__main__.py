"""``python -m bench.codecs``."""

from __future__ import annotations

import argparse
import json
import random
import sys

from bench import machine
from bench.codecs import contest, verdict
from scripts.report import Report, add_json_flag


def main() -> int:
    """Measures the codecs and prints their figures, then the checks."""
    parser = argparse.ArgumentParser(prog="scripts/bench codec", description="zkrpc's codec by itself beside others.")
    parser.add_argument("--rounds", type=int, default=30, help="turns of each codec with each value, each way")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chance begins with")
    add_json_flag(parser)
    options = parser.parse_args()
    report, found = Report("codec", options.seed), machine.describe()
    tell = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    times = contest.run(contest.CONTESTANTS, random.Random(options.seed), rounds=options.rounds, tell=tell)
    verdict.check(times, report)
    if options.json:
        print(json.dumps({**report.as_object(), "machine": found, "figures": times.as_object()}))
        return 0 if report.ok else 1
    print(machine.sentence(found), verdict.render(times), "", sep="\n\n")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
