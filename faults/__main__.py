"""``python -m faults SUITE``."""

from __future__ import annotations

import argparse
import random
import signal
import sys

from faults import calls, hostile, moves, primary, recycle, resilience, scale, takeover, telemetry, tls, worlds
from scripts.report import add_json_flag


def main() -> int:
    """Runs one suite and prints its report."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Fault suites: real processes that die.")
    suites = ["calls", "primary", "takeover", "resilience", "scale", "hostile", "ensemble", "telemetry", "recycle"]
    suites += ["tls", "worlds"]
    parser.add_argument("suite", choices=suites)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chance begins with")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds that ZooKeeper is away (suite calls)")
    parser.add_argument(
        "--callers",
        type=_worlds,
        default=calls.WORLDS,
        metavar="WORLD,…",
        help=f"who calls, of {','.join(calls.WORLDS)}; all at once if not given (suite calls)",
    )
    parser.add_argument(
        "--handlers", choices=calls.HANDLERS, default="hub", help="where the handlers run that are called (suite calls)"
    )
    parser.add_argument("--rounds", type=int, default=200, help="faults to make (suite primary)")
    parser.add_argument("--overlap", type=int, default=1, metavar="N", help="faults at once (suite primary)")
    parser.add_argument(
        "--runs",
        type=int,
        default=20,
        help="faults of each kind (takeover); times that each worker is recycled (recycle); replacements (tls)",
    )
    parser.add_argument("--only", default="", help="scenarios, kinds of faults or worlds to run, with commas between")
    add_json_flag(parser)
    options = parser.parse_args()
    # A run that is told to end takes its processes with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    only = [name for name in options.only.split(",") if name]
    if options.suite == "calls":
        report = calls.run(options.seed, outage=options.outage, worlds=options.callers, handlers=options.handlers)
    elif options.suite == "takeover":
        report = takeover.run(options.seed, runs=options.runs)
    elif options.suite == "recycle":
        report = recycle.run(options.seed, times=options.runs)
    elif options.suite == "tls":
        report = tls.run(options.seed, times=options.runs, only=only)
    elif options.suite == "worlds":
        report = worlds.run(options.seed, only=only)
    elif options.suite == "resilience":
        report = resilience.run(options.seed, only=only)
    elif options.suite == "telemetry":
        report = telemetry.run(options.seed)
    elif options.suite == "ensemble":
        report = moves.run(options.seed)
    elif options.suite == "hostile":
        report = hostile.run(options.seed, only=only)
    elif options.suite == "scale":
        report = scale.run(options.seed, only=only)
    else:
        report = primary.run(options.seed, rounds=options.rounds, overlap=options.overlap, only=only)
    return report.finish(as_json=options.json)


def _worlds(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(calls.WORLDS):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(calls.WORLDS)}")
    return names


sys.exit(main())
