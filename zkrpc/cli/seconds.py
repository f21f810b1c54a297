"""The type of options that take seconds: no sign, no infinity, no NaN. It imports neither gevent nor a ZooKeeper
client."""

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
"""For waits, which must be longer than 0."""
SECONDS_OR_NONE = _Seconds(min=0)
"""For times of which 0 means none."""
