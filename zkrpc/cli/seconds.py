"""What an option that says how long takes: no sign, no infinity, no NaN. It imports nothing that opens anything."""

from __future__ import annotations

import math
from typing import Any

import click


class _Seconds(click.FloatRange):
    """A finite number of seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. A usage error for anything else."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


SECONDS = _Seconds(min=0, min_open=True)
"""For waits, which take some time at least."""
SECONDS_OR_NONE = _Seconds(min=0)
"""For what may also be left out, by 0."""
