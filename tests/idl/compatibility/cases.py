"""The cases of ``cases/``: an IDL, versions that break it, each with what is to be found, and versions that do not.

A file has sections. Each begins with lines ``=== …`` and holds the text of ``main.thrift``; after ``--- NAME`` comes
another file::

    === old
    === breaks RULE SUBJECT     one line for each break that is to be found, and no other at the rule's level or below
    === warns RULE SUBJECT      the same for a warning
    === says TEXT               what its text holds
    === fine                    nothing is to be found at all
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from zkrpc.idl.compatibility import Break, compare, read_file
from zkrpc.idl.source import Source

FOLDER = Path(__file__).parent / "cases"


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One new version beside its old one; the files by their names."""

    name: str
    old: dict[str, str]
    new: dict[str, str]
    wanted: tuple[tuple[str, str, str], ...]
    """Severity, rule and subject of each break; none if the new version is compatible."""
    says: tuple[str, ...]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes both versions into folders of their own; the paths of the two main files."""
        for version, files in (("old", self.old), ("new", self.new)):
            (folder / version).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / version / name).write_text(text)
        return folder / "old" / "main.thrift", folder / "new" / "main.thrift"

    def breaks(self, folder: Path) -> list[Break]:
        """What the comparison finds."""
        return compare(*(read_file(path) for path in self.write(folder)))


def all_cases() -> list[Case]:
    """Every case of every file."""
    return [case for path in sorted(FOLDER.glob("*.txt")) for case in _read(path)]


def source(text: str, folder: Path, name: str = "main.thrift") -> Source:
    """A file of this text, read and checked."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return read_file(folder / name)


def _read(path: Path) -> list[Case]:
    sections = re.findall(r"((?:^=== .*\n)+)((?:(?!=== ).*\n)*)", path.read_text(), re.MULTILINE)
    old: dict[str, str] = {}
    cases = []
    for number, (head, body) in enumerate(sections):
        lines, files = [line.removeprefix("=== ").split(" ", 1) for line in head.splitlines()], _files(body)
        if lines == [["old"]]:
            old = files
            continue
        wanted = []
        for word, said in (line for line in lines if line[0] in ("breaks", "warns")):
            rule, subject = said.split(" ", 1)
            wanted.append(("error" if word == "breaks" else "warning", rule, subject))
        says = tuple(line[1] for line in lines if line[0] == "says")
        assert wanted or lines == [["fine"]], f"{path}: {head}"
        cases.append(Case(f"{path.stem}-{number}", old, files, tuple(wanted), says))
    return cases


def _files(body: str) -> dict[str, str]:
    first, *others = re.split(r"^--- (.*)\n", body, flags=re.MULTILINE)
    return {"main.thrift": first, **dict(zip(others[::2], others[1::2]))}
