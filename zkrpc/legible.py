"""What people read, in a terminal, a log, an error's message or a page: text from elsewhere, and times.

Names of nodes, fields of records, headers and error messages of servers may hold any character. Shown as they are, an
escape sequence could repaint the operator's terminal, a line break could forge a line of the log, and a direction mark
could reverse a path. So every character that is not visible is written as in a Python literal, ``\\x1b`` or
``\\u202e``; visible characters stay, in any script. This is the only place that does so, and foreign text gets into a
message through here or through ``repr``, which escapes the same characters. JSON for programs does not need it: JSON
has escapes of its own and stays exact.

Durations and moments are written here as well, so that the same age reads alike wherever it is seen. JSON has seconds,
and so has a text that repeats a setting in the unit in which it was given.
"""

from __future__ import annotations

import datetime

LONGEST = 1000
"""Characters of one text that are shown, unless the caller says otherwise."""

_UNITS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
"""Each with its seconds, the largest one first."""


def legible(text: object, limit: int = LONGEST) -> str:
    """``str(text)`` on one line, with everything invisible escaped; after ``limit`` characters only their number is
    told."""
    shown = str(text)
    over = len(shown) - limit
    if over > 0:
        shown = shown[:limit]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escaped(char) for char in shown)
    return f"{shown}… ({over} characters more)" if over > 0 else shown


def legible_lines(text: str) -> str:
    """The same for text that may have lines, as a traceback or an error's does: each of them is made legible."""
    return "\n".join(legible(line, len(line)) for line in text.split("\n"))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def lasting(seconds: float) -> str:
    """A duration in its largest unit of which there are two, with a decimal below ten: ``0.3 s``, ``119 s``,
    ``2.5 min``, ``36 h``, ``12 d``. One below zero, as clocks that differ make it, is none: ``0 s``."""
    seconds = max(0.0, seconds)
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 2 * size), _UNITS[-1])
    count = seconds / size
    return f"{count:.1f}".removesuffix(".0") + f" {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def ago(moment: float, now: float) -> str:
    """How long before ``now`` a moment was, both in seconds of the same clock: ``41 min ago``."""
    return f"{lasting(now - moment)} ago"


def moment(at: float, zone: datetime.tzinfo | None = None) -> str:
    """Wall-clock seconds since 1970 as date and time of day to the second: in the time of this machine, or of ``zone``.
    A number that no calendar has, as a peer may tell one, is told as it is."""
    try:
        return datetime.datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"
