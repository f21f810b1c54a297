"""Options that say how long."""

from __future__ import annotations

import click
import pytest

from zkrpc.cli.seconds import SECONDS, SECONDS_OR_NONE


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("0.25", 0.25), ("1e-3", 0.001), ("1e6", 1e6)])
def test_seconds_are_read(text: str, seconds: float) -> None:
    """As numbers are written."""
    assert SECONDS.convert(text, None, None) == SECONDS_OR_NONE.convert(text, None, None) == seconds


def test_none_is_a_number_of_seconds_for_what_may_be_left_out() -> None:
    """And for nothing else."""
    assert SECONDS_OR_NONE.convert("0", None, None) == 0.0
    with pytest.raises(click.BadParameter, match="0.0 is not in the range x>0"):
        SECONDS.convert("0", None, None)


@pytest.mark.parametrize("text", ["-1", "-0.001", "nan", "inf", "-inf", "1e999", "soon", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Before anything is done with it."""
    for kind in (SECONDS, SECONDS_OR_NONE):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)
