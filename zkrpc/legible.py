"""Makes text from elsewhere safe to show to people: in a terminal, a log, or an error's message.

Names of nodes, fields of records, headers and error messages of servers may hold any character. Shown as they are, an
escape sequence could repaint the operator's terminal, a line break could forge a line of the log, and a direction mark
could reverse a path. So every character that is not visible is written as in a Python literal, ``\\x1b`` or
``\\u202e``; visible characters stay, in any script. This is the only place that does so, and foreign text gets into a
message through here or through ``repr``, which escapes the same characters. JSON for programs does not need it: JSON
has escapes of its own and stays exact.
"""

from __future__ import annotations

LONGEST = 1000
"""Characters of one text that are shown, unless the caller says otherwise."""


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
