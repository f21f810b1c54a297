"""The list of a group's primaries, for people: who led in which epoch, from when until when, and why no longer.

Wall-clock times, because people compare them with their logs; nothing is decided by them. Bounded, because the list is
one small node. Each function takes the node's value and returns the new one; an unreadable value is begun again.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from zkrpc.election.fencing import Epoch
from zkrpc.registry.formats import PrimaryRecord

LENGTH = 32
"""Entries kept."""
_MAX_HISTORY = 64 * 1024
_LATEST = 253402214400.0
"""The last day that has a date of four digits."""
_UNSAID = "ended without a word"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One primary's time."""

    epoch: Epoch
    instance: str
    endpoint: str
    began_at: float
    """Wall-clock seconds since 1970."""
    ended_at: float | None = None
    """None while it lasts. For a primary that could not say so itself: when its successor began."""
    reason: str = ""
    """Why it ended."""


def read_history(value: bytes) -> list[Term]:
    """The terms, oldest first; those that cannot be read are left out."""
    try:
        entries = json.loads(value) if 0 < len(value) <= _MAX_HISTORY else []
    except (ValueError, RecursionError):
        entries = []
    terms = [_term(entry) for entry in entries] if isinstance(entries, list) else []
    return sorted((term for term in terms if term is not None), key=lambda term: term.epoch)[-LENGTH:]


def record_began(value: bytes, record: PrimaryRecord, at: float) -> bytes:
    """``record``'s term has begun; terms of lower epochs that are open ended at the latest now."""
    terms = [_closed(term, at, _UNSAID) if term.epoch < record.epoch else term for term in read_history(value)]
    if all(term.epoch != record.epoch for term in terms):
        terms.append(
            Term(epoch=record.epoch, instance=record.instance, endpoint=str(record.endpoint), began_at=at),
        )
    return _dump(terms)


def record_ended(value: bytes, record: PrimaryRecord, reason: str, at: float) -> bytes:
    """``record``'s term has ended; what its own primary says replaces what its successor guessed."""
    terms = read_history(value)
    known = [term for term in terms if term.epoch == record.epoch]
    if not known:
        known = [Term(epoch=record.epoch, instance=record.instance, endpoint=str(record.endpoint), began_at=at)]
    ended_at = at if known[0].ended_at is None else known[0].ended_at
    ended = dataclasses.replace(known[0], ended_at=ended_at, reason=reason)
    return _dump([term for term in terms if term.epoch != record.epoch] + [ended])


def _closed(term: Term, at: float, reason: str) -> Term:
    return term if term.ended_at is not None else dataclasses.replace(term, ended_at=at, reason=reason)


def _dump(terms: list[Term]) -> bytes:
    kept = sorted(terms, key=lambda term: term.epoch)[-LENGTH:]
    return json.dumps([dataclasses.asdict(term) for term in kept], separators=(",", ":")).encode()


def _is_time(number: Any) -> bool:
    """Anybody may have written anything: what is no number would not be JSON again, what is far off no date."""
    return type(number) in (int, float) and 0 <= number < _LATEST


def _term(entry: Any) -> Term | None:
    names = [field.name for field in dataclasses.fields(Term)]
    if not isinstance(entry, dict) or any(name not in entry for name in names):
        return None
    texts = [entry["instance"], entry["endpoint"], entry["reason"]]
    numbers = [entry["began_at"], entry["began_at"] if entry["ended_at"] is None else entry["ended_at"]]
    sound = all(isinstance(text, str) for text in texts) and all(_is_time(number) for number in numbers)
    if not sound or type(entry["epoch"]) is not int:
        return None
    return Term(**{name: entry[name] for name in names})
