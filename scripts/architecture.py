#!/usr/bin/env python3
"""Holds docs/architecture.md to the code: its picture of the layers, and the modules that it names.

The picture is made from the contract in setup.cfg; ``scripts/architecture.py --write`` puts it into the page. Without
``--write`` every difference is a complaint.
"""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path
from typing import Iterator

BEGIN, END = "<!-- made by scripts/architecture.py --write -->\n\n```\n", "```\n"
_WIDTH = 88


def rows_of(setup: str, exists: set[str]) -> list[list[str]]:
    """The layers of the contract, the highest first, each with its modules that exist."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(setup)
    written = parser["importlinter:contract:layers"]["layers"].split("\n")
    rows = [[name for name in re.findall(r"\w+", row) if name in exists] for row in written]
    return [row for row in rows if row]


def picture(rows: list[list[str]]) -> str:
    """One line for each layer, centred."""
    return "".join(" | ".join(row).center(_WIDTH).rstrip() + "\n" for row in rows)


def with_picture(page: str, drawn: str) -> str:
    """The page with this picture in its place. Raises ValueError if it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no block that begins with {BEGIN!r}")
    return before + BEGIN + drawn + END + after


def parts(package: Path) -> set[str]:
    """The modules and packages directly in a package."""
    found = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    return {name for name in found if not name.startswith("_")}


def misnamed(page: str, package: Path) -> Iterator[str]:
    """One line for each ``package/module`` of the page that is not there, and for each part that it does not name."""
    tops = parts(package)
    for top, module in sorted(set(re.findall(r"(?<![\w/.])([a-z_]+)/([a-z_]+)(?![\w/.])", page))):
        if top in tops and not (package / top / f"{module}.py").exists():
            yield f"docs/architecture.md names {top}/{module}, which is not there: name the room that it has become"
    for top in sorted(tops):
        if f"`{top}`" not in page:
            yield f"docs/architecture.md does not name {top}: say in its table what that is"


def main(root: Path, arguments: list[str]) -> int:
    """Prints every complaint and a closing line; 1 if there was a complaint."""
    path = root / "docs" / "architecture.md"
    page = path.read_text("utf-8")
    drawn = picture(rows_of((root / "setup.cfg").read_text("utf-8"), parts(root / "zkrpc")))
    wanted = with_picture(page, drawn)
    if arguments == ["--write"]:
        path.write_text(wanted, "utf-8")
        page = wanted
    complaints = list(misnamed(page, root / "zkrpc"))
    if page != wanted:
        complaints.insert(0, "docs/architecture.md shows other layers than setup.cfg: scripts/architecture.py --write")
    print(*complaints, f"docs/architecture.md: {len(complaints)} complaints", sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent, sys.argv[1:]))
