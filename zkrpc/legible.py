"""Text that others wrote, made safe to be read by people: in a terminal, a log, or an error's message.

Names of nodes, fields of records, headers and the words of a server are whatever somebody put there. Shown as they are,
an escape sequence repaints the operator's terminal, a line break forges a line of the log, a mark of direction turns a
path round. So whatever is not plainly visible is written as Python writes it in a literal, ``\\x1b`` and ``\\u202e``;
what is visible stays, in whatever script. This is the only place that does so, and foreign text gets into a message
through here or through ``repr``, which escapes the same characters. JSON for programs does not pass here: it escapes in
its own way and stays exact.
"""

from __future__ import annotations

LONGEST = 1000
"""Characters of one text that are shown, unless the caller says otherwise."""


def legible(text: object, limit: int = LONGEST) -> str:
    """``str(text)`` on one line, with everything invisible escaped; what is over ``limit`` characters is counted."""
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
