"""A terminal's recording as a picture: an SVG that plays what was written when it was written.

It needs no script and no font of its own, and is light or dark as the page that shows it. Where nothing moves it shows
the end of the recording.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Iterable, Sequence

CLEAR = "\x1b[H\x1b[J"
"""What a program writes to begin a new screen."""

_PAUSE = 0.1
"""Seconds; what is written within them is one change of the screen."""
_LONGEST = 3.0
"""Seconds for which a screen is shown at most, but for the last one."""
_LAST = 12.0
_COLUMN, _ROW, _MARGIN, _BAR = 8.2, 19, 14, 34
_STYLES = {"1": "b", "31": "r", "32": "g", "33": "y", "34": "u"}
_SHEET = """
svg{--back:#fff;--edge:#d1d9e0;--text:#1f2328;--faint:#59636e;--r:#cf222e;--g:#1a7f37;--y:#9a6700;--u:#0969da}
@media (prefers-color-scheme:dark){
svg{--back:#0d1117;--edge:#3d444d;--text:#e6edf3;--faint:#9198a1;--r:#f85149;--g:#3fb950;--y:#d29922;--u:#58a6ff}}
.window{fill:var(--back);stroke:var(--edge)}
.dot{fill:var(--edge)}
text{fill:var(--text);white-space:pre;
font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace}
.title{fill:var(--faint)}
.b{font-weight:600}.r{fill:var(--r)}.g{fill:var(--g)}.y{fill:var(--y)}.u{fill:var(--u)}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal shows for a while, with its escapes for styles."""

    seconds: float
    lines: tuple[str, ...]


def screens(written: Iterable[tuple[float, str]], rows: int) -> list[Screen]:
    """The screens of a terminal of so many rows, by what was written and when, in seconds."""
    shown: list[tuple[float, tuple[str, ...]]] = []
    text, before = "", float("-inf")
    for at, part in written:
        text = (text + part.replace("\r\n", "\n")).rpartition(CLEAR)[2]
        lines = tuple(text.rstrip("\n").split("\n")[-rows:])
        if at - before < _PAUSE and shown:
            shown[-1] = (shown[-1][0], lines)
        elif not shown or shown[-1][1] != lines:
            shown.append((at, lines))
        before = at
    ends = [at for at, _ in shown[1:]]
    found = [Screen(min(_LONGEST, end - at), lines) for (at, lines), end in zip(shown, ends)]
    return [*found, *(Screen(_LAST, lines) for _, lines in shown[-1:])]


def draw(shown: Sequence[Screen], *, title: str, about: str, columns: int, rows: int) -> str:
    """The SVG: all screens on a strip of film that moves behind a window, from one to the next at its time.

    Args:
        shown: the screens, one at least.
        title: stands above them.
        about: says what is to be seen to those who do not see it.
        columns, rows: the terminal's size.
    """
    width, high = round(columns * _COLUMN) + 2 * _MARGIN, rows * _ROW + _MARGIN
    lines = [
        f'<text x="{_MARGIN}" y="{number * high + (row + 1) * _ROW}">{_spans(line)}</text>'
        for number, one in enumerate(shown)
        for row, line in enumerate(one.lines)
        if line
    ]
    dots = "".join(f'<circle class="dot" cx="{18 + 18 * number}" cy="17" r="5.5"/>' for number in range(3))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {high + _BAR}" width="{width}"'
            f' height="{high + _BAR}" role="img" aria-label="{html.escape(about)}" xml:space="preserve">',
            f"<style>{_SHEET}{_film(shown, high)}</style>",
            f'<rect class="window" x=".5" y=".5" width="{width - 1}" height="{high + _BAR - 1}" rx="8"/>',
            f'{dots}<text class="title" x="{width / 2:.0f}" y="22" text-anchor="middle">{html.escape(title)}</text>',
            f'<svg y="{_BAR}" width="{width}" height="{high}"><g class="film">',
            *lines,
            "</g></svg>",
            "</svg>\n",
        ]
    )


def _film(shown: Sequence[Screen], high: int) -> str:
    """The style that moves the strip; nothing for a single screen."""
    if len(shown) == 1:
        return ""
    whole, at, stops = sum(one.seconds for one in shown), 0.0, []
    for number, one in enumerate(shown):
        stops.append(f"{at / whole:.3%}{{transform:translateY({-number * high}px)}}")
        at += one.seconds
    return (
        f".film{{transform:translateY({-(len(shown) - 1) * high}px)}}"
        f"@media not (prefers-reduced-motion:reduce){{.film{{animation:play {whole:.1f}s step-end infinite}}}}"
        f"@keyframes play{{{''.join(stops)}}}"
    )


def _spans(line: str) -> str:
    """The line as SVG, by its escapes; those that have no style here are left out."""
    parts, style = [], ""
    for piece in re.split(r"(\x1b\[[0-9;]*[A-Za-z])", line):
        if piece.startswith("\x1b["):
            style = _STYLES.get(piece[2:-1], "")
        elif piece:
            text = html.escape(piece, quote=False)
            parts.append(f'<tspan class="{style}">{text}</tspan>' if style and text.strip() else text)
    return "".join(parts).rstrip()
