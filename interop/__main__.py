"""``python -m interop``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Iterator

from interop.cases import NAMES
from interop.run import Cell, Result, run
from interop.table import DIALECTS, DIRECTIONS, PEERS
from scripts.report import add_json_flag

SKIPPED = 3
"""The exit status if nothing failed, but somebody could not take part."""


def main() -> int:
    """Runs the matrix and prints it."""
    parser = argparse.ArgumentParser(
        prog="scripts/interop", description="Stock Thrift libraries call our server, and our client calls theirs."
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="who takes part, with commas between")
    parser.add_argument("--install", action="store_true", help="get what they need with apt-get, as root")
    parser.add_argument("--allow-skips", action="store_true", help="end with 0 although somebody could not take part")
    add_json_flag(parser)
    options = parser.parse_args()
    names = [name for name in options.peers.split(",") if name]
    if unknown := set(names) - PEERS.keys():
        parser.error(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    result = run(names, with_install=options.install)
    seconds = round(time.monotonic() - began, 1)
    bad = bool(result.failed or result.broken)
    if options.json:
        print(json.dumps({"ok": not bad, "seconds": seconds, "cases": NAMES, **dataclasses.asdict(result)}, indent=2))
    else:
        print("\n".join(text(result, seconds)))
    return 1 if bad else SKIPPED if result.skipped and not options.allow_skips else 0


def text(result: Result, seconds: float) -> Iterator[str]:
    """The table for people, and below it what is not green."""
    width = max(len(peer.title) for peer in PEERS.values())
    yield " " * (width + 11) + " ".join(DIALECTS)
    cells = {(cell.peer, cell.direction, cell.dialect): cell for cell in result.cells}
    for name in dict.fromkeys(cell.peer for cell in result.cells):
        for direction in DIRECTIONS:
            row = (_mark(cells.get((name, direction, dialect))).ljust(len(dialect)) for dialect in DIALECTS)
            yield f"{PEERS[name].title:{width}} {direction:9} {' '.join(row)}".rstrip()
    yield ""
    for why in dict.fromkeys(why for cell in result.cells for why in cell.known.values()):
        yield f"* a fault of theirs: {why}"
    for cell in result.failed:
        for case, what in cell.failed.items():
            yield f"FAILED: {cell.peer} {cell.direction} in {cell.dialect}: {case}: {what}"
    for name, why in result.broken.items():
        yield f"FAILED: {name} could not be built: {why}"
    for name, why in result.skipped.items():
        yield f"SKIPPED: {PEERS[name].title}: it needs {why}"
    counts = f"{sum(not cell.failed for cell in result.cells)} cells of {len(NAMES)} cases ok"
    counts += f", {len(result.failed) + len(result.broken)} failed"
    skipped = f"SKIPPED: {', '.join(result.skipped)}" if result.skipped else "nobody skipped"
    yield f"interop: {counts}, {skipped}, {seconds} s"


def _mark(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return "FAILED" if cell.failed else "ok*" if cell.known else "ok"


if __name__ == "__main__":
    sys.exit(main())
