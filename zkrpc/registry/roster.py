"""The nodes of one list of members as they were read: what they say, and what is wrong with them.

Pure values. A roster is told which nodes were read and which are gone; when to list and what to read is decided by
:mod:`zkrpc.registry.view`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Mapping

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.foreign import Tree
from zkrpc.registry.formats import parse_record
from zkrpc.registry.schema import digest_of
from zkrpc.registry.weights import VECTOR_PREFIX, Vector, parse_vector, weighted

_TELL_AGAIN_AFTER = 60.0
"""Seconds between two reports of the same node whose bad record changes: it may be rewritten all the time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A node as it was read."""

    payload: bytes
    created_zxid: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a node says. Without an instance or a vector it is not in service, or cannot be read for the reason in
    ``bad``."""

    instance: Instance | None = None
    vector: Vector | None = None
    created_zxid: int
    digest: str
    bad: str = ""


def is_vector(name: str) -> bool:
    """Whether a node of this name has weights, and is no member."""
    return name.startswith(VECTOR_PREFIX)


class Roster:
    """The nodes of one list, in the order in which they were read. Nothing that a node contains makes it raise."""

    def __init__(self, tree: Tree | None, max_record: int) -> None:
        """``tree`` is where the list is if it is not zkrpc's own; nodes of more than ``max_record`` bytes are bad."""
        self._tree = tree
        self._max_record = max_record
        self._entries: dict[str, Entry] = {}
        self._told: dict[str, tuple[str, float]] = {}
        """The bad nodes that were reported: what they held, and when."""

    def __repr__(self) -> str:
        """The number of nodes."""
        return f"<Roster {len(self._entries)} nodes, {self.skipped} members left out>"

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """The names, those that were read longest ago first."""
        return iter(self._entries)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """What each node says."""
        return self._entries

    @property
    def skipped(self) -> int:
        """The members that cannot be read."""
        return sum(bool(entry.bad) for name, entry in self._entries.items() if not is_vector(name))

    def concerns(self, name: str) -> bool:
        """Whether a child of this name is to be read: a member, or weights."""
        return is_vector(name) or self._tree is None or self._tree.has_member(name)

    def keep(self, names: Collection[str]) -> None:
        """Forgets all nodes but these."""
        for name in self._entries.keys() - names:
            del self._entries[name]

    def receive(self, name: str, record: Record | None) -> None:
        """Takes in what was read; None if there is no such node any more."""
        self._entries.pop(name, None)
        if record is not None:
            self._entries[name] = self._read(name, record)

    def instances(self) -> tuple[Instance, ...]:
        """Those in service, with the weights that vectors give them; one for each endpoint, ordered by id. Of several
        with the same endpoint the newest node counts, as ports are reused."""
        entries = self._entries
        vectors = [entry.vector for entry in entries.values() if entry.vector is not None]
        return distinct(
            (weighted(entry.instance, name, vectors), entry.created_zxid)
            for name, entry in entries.items()
            if entry.instance is not None
        )

    def complaints(self, now: float) -> list[tuple[str, str]]:
        """The bad nodes and what is wrong with them: those that are new, or have changed and were reported long ago."""
        told, self._told = self._told, {}
        news = []
        for name, entry in self._entries.items():
            if entry.bad:
                digest, at = told.get(name, ("", -math.inf))
                if digest != entry.digest and now >= at + _TELL_AGAIN_AFTER:
                    news.append((name, entry.bad))
                    digest, at = entry.digest, now
                self._told[name] = digest, at
        return news

    @property
    def bad(self) -> int:
        """The number of nodes that cannot be read."""
        return sum(bool(entry.bad) for entry in self._entries.values())

    def _read(self, name: str, record: Record) -> Entry:
        zxid, digest = record.created_zxid, digest_of(record.payload)
        try:
            if is_vector(name):
                return Entry(vector=parse_vector(record.payload, self._max_record), created_zxid=zxid, digest=digest)
            return Entry(instance=self._parse(name, record.payload), created_zxid=zxid, digest=digest)
        except RemoteProtocolError as error:
            return Entry(created_zxid=zxid, digest=digest, bad=str(error))

    def _parse(self, name: str, payload: bytes) -> Instance | None:
        tree = self._tree
        if tree is None:
            return parse_record(name, payload, max_record=self._max_record)
        named = tree.endpoint
        return parse_record(tree.id_of(name), payload, max_record=self._max_record, prefix="", named=named)


def distinct(members: Iterable[tuple[Instance, int]]) -> tuple[Instance, ...]:
    """One instance for each endpoint, ordered by id: of several the one with the highest number."""
    newest: dict[Endpoint, tuple[int, Instance]] = {}
    for instance, number in members:
        if number >= newest.get(instance.endpoint, (-1, instance))[0]:
            newest[instance.endpoint] = (number, instance)
    return tuple(sorted((instance for _, instance in newest.values()), key=lambda instance: instance.id))
