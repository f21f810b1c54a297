"""What the replicas of the bank wrote down, read back: which write each accepted when, in which epoch.

The times are of the clock that all processes of a machine share, so lines of different files can be put in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

Accepted = tuple[float, int]
"""Monotonic seconds and the epoch."""


class Journals:
    """The journals in ``folder``: every file whose name is a process id."""

    def __init__(self, folder: Path) -> None:
        self.refused: dict[str, int] = {}
        """The request ids that the fence has refused, with the epoch they were tried in."""
        self._folder = folder
        self._read: dict[Path, int] = {}

    def take(self) -> list[Accepted]:
        """The writes that were accepted and that were not taken before, in the order of time."""
        accepted: list[Accepted] = []
        for path in self._folder.iterdir():
            if path.name.isdigit():
                for line in self._new_lines(path):
                    what, at, epoch, request_id = line.split()
                    if what == "accepted":
                        accepted.append((float(at), int(epoch)))
                    else:
                        self.refused[request_id] = int(epoch)
        return sorted(accepted)

    def _new_lines(self, path: Path) -> list[str]:
        """Whole lines only: one that is being written is for the next time."""
        begin = self._read.get(path, 0)
        with path.open("rb") as journal:
            journal.seek(begin)
            text = journal.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[path] = begin + len(whole)
        return whole.decode().splitlines()


def overlaps(accepted: Iterable[Accepted]) -> int:
    """How many epochs accepted a write after a later epoch had."""
    highest, late = 0, set()
    for _, epoch in accepted:
        if epoch < highest:
            late.add(epoch)
        highest = max(highest, epoch)
    return len(late)


def gap_after(accepted: Sequence[Accepted], epoch: int) -> float | None:
    """Seconds from the last write that ``epoch`` accepted to the first of a later one; None if one of them is missing.

    Under a load without pauses this is how long nobody led, and one call more.
    """
    last = max((at for at, its in accepted if its == epoch), default=None)
    first = min((at for at, its in accepted if its > epoch), default=None)
    return None if last is None or first is None else first - last
