"""The source files that ``zkrpc serve --reload`` watches: whether any of them has changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from zkrpc.legible import legible

_INTERVAL = 0.5
"""Seconds between checks."""
_MOST_NAMED = 3


class WatchedFiles:
    """The ``.py`` and ``.thrift`` files below some folders, perhaps none."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.interval = _INTERVAL if folders else None
        """Seconds after which ``look`` is to be called again; None for never."""
        self._folders = tuple(folders)
        self._fingerprint = self._read()
        self._looked_at = 0.0

    def __repr__(self) -> str:
        """How many files there are."""
        return f"<WatchedFiles {len(self._fingerprint)}>"

    def look(self, now: float) -> str:
        """The names of the files that have changed, come or gone since the last look, a few of them; empty if none has,
        or if it is too early. ``now`` is in monotonic seconds."""
        if self.interval is None or now < self._looked_at + self.interval:
            return ""
        before = self._fingerprint
        self._looked_at = now
        self._fingerprint = after = self._read()
        return _describe(sorted({path for path, _ in before.items() ^ after.items()}))

    def _read(self) -> dict[str, int]:
        return {path: stamp for folder in self._folders for path, stamp in _stamps(folder)}


def _describe(paths: Sequence[str]) -> str:
    """The names of some files, and how many others there are."""
    names = [legible(os.path.basename(path), 64) for path in paths]
    if len(names) > _MOST_NAMED:
        names[_MOST_NAMED:] = [f"{len(names) - _MOST_NAMED} others"]
    return ", ".join(names)


def _stamps(folder: Path) -> Iterator[tuple[str, int]]:
    """The source files below a folder with their times of change; hidden folders and virtual environments are left
    out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_foreign(os.path.join(place, name))]
        for name in names:
            if name.endswith((".py", ".thrift")):
                path = os.path.join(place, name)
                with contextlib.suppress(OSError):
                    yield path, os.stat(path).st_mtime_ns


def _is_foreign(folder: str) -> bool:
    """True for a folder of installed files, which are not edited: checking thousands of them twice a second is not
    free."""
    return os.path.basename(folder).startswith((".", "__")) or os.path.exists(os.path.join(folder, "pyvenv.cfg"))
