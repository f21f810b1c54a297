"""The figures to look at: bars of medians, with the lowest and the highest round as a whisker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.figures import Figures
from bench.plan import LOADED, PEERS, ZKRPC, Cell
from bench.values import WORKLOADS

_CAPTIONS = {
    "ping": "ping: no arguments",
    "echo": "echo: a string of 100 bytes",
    "rich": "rich: 20 nested structs",
    "blob": "blob: 64 KiB of bytes",
}
_OURS, _OTHERS, _INK = "#1f6f8b", "#b8c4c9", "#333333"


def draw(figures: Figures, path: Path) -> None:
    """Writes a PNG with a panel for each workload that was measured at 64 callers."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = [cell for cell in (Cell(name, LOADED) for name in WORKLOADS) if figures.spread(ZKRPC, cell)]
    grid, axes = pyplot.subplots(len(cells), 1, figsize=(9, 1.9 * len(cells) + 0.8), squeeze=False)
    for panel, cell in zip(axes[:, 0], cells):
        _draw_panel(panel, figures, cell)
    grid.suptitle(
        f"Calls per second with {LOADED} callers, server on one core, client on another\n"
        "(median of rounds, whiskers from min to max)",
        fontsize=11,
        color=_INK,
    )
    grid.tight_layout()
    grid.savefig(path, dpi=120)
    pyplot.close(grid)


def _draw_panel(panel: Any, figures: Figures, cell: Cell) -> None:
    measured = [(row, spread) for row in PEERS if (spread := figures.spread(row, cell))]
    names = [row.title for row, _ in measured]
    medians = [spread.median for _, spread in measured]
    whiskers = [[one.median - one.lowest for _, one in measured], [one.highest - one.median for _, one in measured]]
    colours = [_OURS if row is ZKRPC else _OTHERS for row, _ in measured]
    panel.barh(names, medians, xerr=whiskers, color=colours, ecolor=_INK, capsize=3, height=0.7, error_kw={"lw": 1})
    longest = max(spread.highest for _, spread in measured)
    for place, (_, spread) in enumerate(measured):
        ratio = "" if place == 0 else f"  (zkrpc: {medians[0] / spread.median:.1f} x)"
        panel.text(spread.highest + longest * 0.015, place, f"{spread.median:,.0f}{ratio}", va="center", fontsize=9)
    panel.invert_yaxis()
    panel.set_xlim(0, longest * 1.3)
    panel.set_title(_CAPTIONS[cell.workload], loc="left", fontsize=10, color=_INK)
    panel.tick_params(axis="both", labelsize=9, length=0)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
