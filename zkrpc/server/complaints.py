"""Log lines about misbehaving peers: a few for each address and minute, and after that a count.

Peers that send garbage are cut off one connection at a time, and may come back as fast as they like. With a line for
each, three hundred thousand of them were seventeen megabytes; arguments that make a handler fail would be a traceback
each. So the first complaints about an address are written as they are, those of the rest of a minute are counted, and
their number is written when that is over.

Memory is bounded: if very many addresses misbehave, the rest of them are counted together.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator, Mapping

PERIOD = 60.0
"""Seconds in which only the first complaints about an address are written."""
MOST = 1024
"""Addresses that are counted separately."""
OTHERS = "other addresses"
"""The name under which the rest are counted."""


class ComplaintKind(enum.Enum):
    """A kind of complaint: how many lines a minute are written, and how a count of the others is worded."""

    CLOSED = 1, logging.WARNING, "closed %d more connections of %s in the last minute"
    REFUSED = 1, logging.WARNING, "refused %d more connections of %s in the last minute"
    DENIED = 1, logging.WARNING, "denied %d more calls of %s in the last minute"
    FAILED = 10, logging.ERROR, "handlers failed %d more times for %s in the last minute"

    def __init__(self, burst: int, level: int, summary: str) -> None:
        self.burst = burst
        self.level = level
        self.summary = summary


class PeerLog:
    """The complaints of one server about its peers."""

    __slots__ = ("_complaints", "_log")

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._complaints = {kind: Complaints(kind.burst) for kind in ComplaintKind}

    def complain(
        self,
        kind: ComplaintKind,
        address: str,
        now: float,
        message: str,
        *args: object,
        error: BaseException | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Writes a line about ``address``, with the traceback of ``error``; or counts it.

        ``about`` is for machines, see :mod:`zkrpc.telemetry.log_records`.
        """
        if self._complaints[kind].admits(address, now):
            self._log.log(kind.level, message, *args, exc_info=error, extra=about)

    def denier(self, clock: Callable[[], float]) -> Callable[[str, str], None]:
        """What to tell of each call that a peer may not make, and why. ``clock`` gives monotonic seconds."""
        return lambda peer, reason: self.complain(
            ComplaintKind.DENIED, peer, clock(), "denied a call of %s: %s", peer, reason
        )

    def settle(self, now: float) -> None:
        """Writes the counts that are due."""
        for kind, complaints in self._complaints.items():
            for address, count in complaints.take_due(now):
                self._log.log(kind.level, kind.summary, count, address)


class _Complaint:
    """How many complaints about one address were written since the minute began, and how many were not."""

    __slots__ = ("count", "made", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.made = self.count = 0


class Complaints:
    """The complaints of one kind, of which ``burst`` may be written about one address in a minute."""

    __slots__ = ("_burst", "_entries")

    def __init__(self, burst: int = 1) -> None:
        self._burst = burst
        # In the order of their times, as each is made anew when its time is over.
        self._entries: dict[str, _Complaint] = {}

    def __repr__(self) -> str:
        """The number of addresses."""
        return f"<Complaints about {len(self._entries)}>"

    def admits(self, address: str, now: float) -> bool:
        """Whether a complaint about ``address`` is to be written now; it is counted otherwise."""
        entry = self._entries.get(address)
        if entry is None and len(self._entries) >= MOST:
            address = OTHERS
            entry = self._entries.get(address)
        if entry is None:
            entry = self._entries[address] = _Complaint(now)
        if entry.made < self._burst:
            entry.made += 1
            return True
        entry.count += 1
        return False

    def take_due(self, now: float) -> Iterator[tuple[str, int]]:
        """The addresses whose minute is over, and how many complaints about them were not written, if any."""
        due = []
        for address, entry in self._entries.items():
            if now - entry.since < PERIOD:
                break
            due.append(address)
        for address in due:
            count = self._entries.pop(address).count
            if count:
                yield address, count
