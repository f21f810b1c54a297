"""Suite ``scale``: ten thousand idle connections, half a million calls, one slow neighbour, a thousand members.

Each scenario is a function with its own checks, in a module beside this one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from faults.scale_fleet import fleet
from faults.scale_idle import idle
from faults.scale_leak import leak
from faults.scale_neighbours import neighbours
from scripts.report import Report
from zkrpc.errors import ConfigError

SCENARIOS: dict[str, Callable[[Report, random.Random], None]] = {
    "idle": idle,
    "leak": leak,
    "neighbours": neighbours,
    "fleet": fleet,
}


def run(seed: int, *, only: Sequence[str] = ()) -> Report:
    """The suite, or the scenarios named. Raises ConfigError for a name that is none."""
    unknown = set(only) - SCENARIOS.keys()
    if unknown:
        raise ConfigError(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    report, rng = Report("scale", seed), random.Random(seed)
    for name, scenario in SCENARIOS.items():
        if not only or name in only:
            with report.guard(name, "runs"):
                scenario(report, rng)
    return report
