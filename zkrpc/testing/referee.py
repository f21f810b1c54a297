"""Decides elections among replicas in one process: it answers campaigns in the place of ZooKeeper.

It answers the requests of :mod:`zkrpc.election.effects`, of which there are a dozen, out of one table. It is not a
model of ZooKeeper that could drift from the real one: the election's own machine decides what is asked and what follows
from an answer, and the type checker refuses a request that is not handled here. It has none of the delays and failures
of ZooKeeper: answers and notifications are immediate, and a session ends when the test says so. How elections cope with
those is tested on a real ZooKeeper.

It needs no clock; ``on_change`` is called at every change.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import assert_never

from zkrpc.election.effects import (
    ClaimEpoch,
    CreateCandidate,
    CreateEpoch,
    DeleteCandidate,
    ElectionAnswer,
    ElectionRequest,
    InspectCandidate,
    ListCandidates,
    MakeParents,
    Node,
    RaiseEpoch,
    Read,
    ReadEpoch,
    ReadPrimary,
    RecordHistory,
    RecordTrouble,
    ReleaseEpoch,
    RequestFailure,
    Together,
    WatchPredecessor,
)

_PERSISTENT = 0


class _Rejected(Exception):
    """Raised while a request is carried out, to refuse it as a whole."""

    def __init__(self, failure: RequestFailure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Referee:
    """The table of nodes, and the replicas that take part."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._nodes: dict[str, Node] = {}
        self._sessions: set[int] = set()
        self._ids = itertools.count(1)
        self._places = itertools.count()

    def __repr__(self) -> str:
        """The number of replicas, and the nodes."""
        return f"<Referee sessions={len(self._sessions)} nodes={len(self._nodes)}>"

    def enter(self) -> int:
        """Begins a session for one more replica."""
        session = next(self._ids)
        self._sessions.add(session)
        return session

    def leave(self, session: int) -> None:
        """Ends a session, and removes its ephemeral nodes."""
        self._sessions.discard(session)
        self._become({path: node for path, node in self._nodes.items() if node.owner != session})

    def look(self, path: str) -> Node | None:
        """What a node holds, for a reader that takes no part."""
        return self._nodes.get(path)

    def ask(self, request: ElectionRequest, session: int) -> ElectionAnswer | RequestFailure:
        """The answer to a request, or the reason why it was refused. A request is carried out as a whole or not at
        all."""
        if session not in self._sessions:
            return RequestFailure.SESSION_ENDED
        match request:
            case Together(reads=reads):
                return tuple(self._read(read) for read in reads)
            case ListCandidates() | InspectCandidate() | WatchPredecessor() | ReadPrimary() | ReadEpoch():
                return self._read(request)
            case _:
                nodes = dict(self._nodes)
                try:
                    self._write(nodes, request, session)
                except _Rejected as refused:
                    return refused.failure
                self._become(nodes)
                return None

    def _become(self, nodes: dict[str, Node]) -> None:
        if nodes != self._nodes:
            self._nodes = nodes
            self._on_change()

    def _read(self, read: Read) -> ElectionAnswer:
        if isinstance(read, ListCandidates):
            names = tuple(path.rpartition("/")[2] for path in self._nodes if path.rpartition("/")[0] == read.path)
            return names if read.path in self._nodes else None
        return self._nodes.get(read.path)

    def _write(
        self,
        nodes: dict[str, Node],
        request: (
            MakeParents
            | CreateCandidate
            | DeleteCandidate
            | CreateEpoch
            | ClaimEpoch
            | ReleaseEpoch
            | RaiseEpoch
            | RecordTrouble
            | RecordHistory
        ),
        session: int,
    ) -> None:
        match request:
            case MakeParents(root=root, candidates=candidates):
                for path in (root, candidates):
                    nodes.setdefault(path, Node(owner=_PERSISTENT))
            case CreateCandidate(prefix=prefix, value=value):
                _create(nodes, f"{prefix}{next(self._places):010d}", value, session)
            case DeleteCandidate(path=path):
                _delete(nodes, path)
            case CreateEpoch(path=path, value=value):
                _create(nodes, path, value, _PERSISTENT)
            case ClaimEpoch():
                if request.candidate not in nodes:
                    raise _Rejected(RequestFailure.MISSING)
                _create(nodes, request.primary, request.primary_value, session)
                _set(nodes, request.epoch, request.epoch_value, request.version)
            case ReleaseEpoch():
                _set(nodes, request.epoch, request.epoch_value, request.version)
                for gone in (request.primary, request.candidate):
                    if gone is not None:
                        _delete(nodes, gone)
            case RaiseEpoch(epoch=path, epoch_value=value, version=version):
                _set(nodes, path, value, version)
            case RecordHistory() | RecordTrouble():
                """For people, of whom none looks here."""
            case _:
                assert_never(request)


def _create(nodes: dict[str, Node], path: str, value: bytes, owner: int) -> None:
    if path in nodes:
        raise _Rejected(RequestFailure.EXISTS)
    if path.rpartition("/")[0] not in nodes:
        raise _Rejected(RequestFailure.MISSING)
    nodes[path] = Node(owner=owner, value=value)


def _set(nodes: dict[str, Node], path: str, value: bytes, version: int) -> None:
    node = nodes.get(path)
    if node is None:
        raise _Rejected(RequestFailure.MISSING)
    if node.version != version:
        raise _Rejected(RequestFailure.CONFLICT)
    nodes[path] = dataclasses.replace(node, value=value, version=version + 1)


def _delete(nodes: dict[str, Node], path: str) -> None:
    if nodes.pop(path, None) is None:
        raise _Rejected(RequestFailure.MISSING)
