"""Sends an election's requests to ZooKeeper, one at a time, and returns each one's answer.

A shell: it translates each request into ZooKeeper's operations, and does not know what it is for. Every request ends in
an answer or a :class:`~zkrpc.election.effects.RequestFailure`, within the session's request timeout.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import gevent
from gevent.event import Event

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
from zkrpc.election.history import record_began, record_ended
from zkrpc.errors import (
    CoordinationError,
    NodeExists,
    NodeMissing,
    OutcomeUnknown,
    SessionLost,
    SessionSuspended,
    VersionConflict,
)
from zkrpc.zookeeper.operations import Check, Create, Delete, Operation, SessionState, SetData
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)

_FAILURES: tuple[tuple[type[CoordinationError], RequestFailure], ...] = (
    (SessionSuspended, RequestFailure.NOT_SENT),
    (OutcomeUnknown, RequestFailure.UNKNOWN),
    (SessionLost, RequestFailure.SESSION_ENDED),
    (NodeMissing, RequestFailure.MISSING),
    (NodeExists, RequestFailure.EXISTS),
    (VersionConflict, RequestFailure.CONFLICT),
)
_HISTORY_ATTEMPTS = 4


def attempt(session: Session, session_id: int, send: Callable[[], ElectionAnswer]) -> ElectionAnswer | RequestFailure:
    """Calls ``send`` and returns its answer, if it was sent and answered in the session ``session_id``.

    If the session has been replaced meanwhile, the outcome in the earlier one is unknown.
    """
    if session.state is not SessionState.CONNECTED or session.session_id != session_id:
        return RequestFailure.NOT_SENT
    try:
        answer = send()
    except CoordinationError as error:
        return next((failure for kind, failure in _FAILURES if isinstance(error, kind)), RequestFailure.OTHER)
    except Exception:
        log.exception("a request of an election failed unexpectedly; it will be tried again")
        return RequestFailure.OTHER
    return answer if session.session_id == session_id else RequestFailure.UNKNOWN


class Asks(Protocol):
    """Sends requests for a campaign."""

    def ask(self, request: ElectionRequest, session_id: int) -> ElectionAnswer | RequestFailure:
        """The answer, or why there is none. ``session_id`` is the session that the request belongs to."""


class RequestExecutor:
    """Sends the requests of one campaign. ``watch`` is set when a node that a request watches has changed."""

    def __init__(self, session: Session, watch: Event, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._watch = watch
        self._wall_clock = wall_clock

    def ask(self, request: ElectionRequest, session_id: int) -> ElectionAnswer | RequestFailure:
        """The answer, or why there is none. ``session_id`` is the session that the request belongs to."""
        return attempt(self._session, session_id, lambda: self._send(request))

    def _send(self, request: ElectionRequest) -> ElectionAnswer:
        match request:
            case Together(reads=reads):
                return self._send_together(reads)
            case ListCandidates() | InspectCandidate() | WatchPredecessor() | ReadPrimary() | ReadEpoch():
                return self._look(request)
            case _:
                self._write(request)
                return None

    def _look(self, request: Read, before: Sequence[gevent.Greenlet[..., Any]] = ()) -> ElectionAnswer:
        match request:
            case ListCandidates(path=path):
                names = self._session.znodes.children(path)
                return None if names is None else tuple(names)
            case ReadPrimary(path=path):
                return self._read_watched(path, before)
            case ReadEpoch(path=path):
                return self._read(path, self._watch)
            case InspectCandidate(path=path) | WatchPredecessor(path=path):
                stat = self._session.znodes.exists(path, self._watch)
                if stat is None:
                    return None
                # A candidate is never written to, so the time of its last change is that of its creation.
                return Node(owner=stat.owner, version=stat.version, made_at=round(1000 * stat.modified_at))

    def _send_together(self, reads: tuple[Read, ...]) -> tuple[ElectionAnswer, ...]:
        """Sends each read in a greenlet of its own; they send in the order in which they were started."""
        greenlets: list[gevent.Greenlet[..., Any]] = []
        for read in reads:
            greenlets.append(gevent.spawn(_caught, self._look, read, tuple(greenlets)))
        answers = [greenlet.get() for greenlet in greenlets]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return tuple(answers)

    def _read_watched(self, path: str, before: Sequence[gevent.Greenlet[..., Any]]) -> Node | None:
        """Reads a node and watches it even if it is missing, which takes two requests: only exists sets a watch on a
        missing node, and only get returns the value. In the urgent case, without a primary, the node is missing and
        exists is enough. The value is read after the answers of the reads in ``before``."""
        if self._session.znodes.exists(path, self._watch) is None:
            return None
        gevent.joinall(before)
        return self._read(path)

    def _read(self, path: str, watch: Event | None = None) -> Node | None:
        found = self._session.znodes.get(path, watch)
        if found is None:
            return None
        value, stat = found
        return Node(owner=stat.owner, version=stat.version, value=value)

    def _write(self, request: ElectionRequest) -> None:
        znodes = self._session.znodes
        match request:
            case MakeParents(root=root, candidates=candidates):
                znodes.ensure_path(root)
                znodes.ensure_path(candidates)
            case CreateCandidate(prefix=prefix, value=value):
                znodes.create(prefix, value, ephemeral=True, sequence=True)
            case DeleteCandidate(path=path):
                znodes.delete(path)
            case CreateEpoch(path=path, value=value):
                znodes.create(path, value)
            case ClaimEpoch():
                znodes.multi(_claim(request))
            case ReleaseEpoch():
                znodes.multi(_release(request))
            case RaiseEpoch(epoch=path, epoch_value=value, version=version):
                znodes.set(path, value, version)
            case RecordTrouble(path=path, value=None):
                znodes.delete(path)
            case RecordTrouble(path=path, value=bytes(value)):
                self._write_trouble(path, value)
            case RecordHistory():
                self._record(request)
            case _:
                raise AssertionError(f"not a write: {request!r}")

    def _write_trouble(self, path: str, value: bytes) -> None:
        """Creates the node anew, so that it belongs to this session: one that an earlier session left would be deleted
        with that."""
        self._session.znodes.ensure_path(path.rpartition("/")[0])
        with suppress(NodeMissing):
            self._session.znodes.delete(path)
        self._session.znodes.create(path, value, ephemeral=True)

    def _record(self, line: RecordHistory) -> None:
        """Writes a line of the history. Predecessor and successor write at about the same time, so a version conflict
        is retried at once."""
        for left in reversed(range(_HISTORY_ATTEMPTS)):
            try:
                return self._record_once(line)
            except (VersionConflict, NodeExists):
                if not left:
                    raise

    def _record_once(self, line: RecordHistory) -> None:
        found = self._read(line.path)
        value, at = b"" if found is None else found.value, self._wall_clock()
        if line.reason is None:
            value = record_began(value, line.record, at)
        else:
            value = record_ended(value, line.record, line.reason.value, at)
        if found is None:
            self._session.znodes.create(line.path, value)
        else:
            self._session.znodes.set(line.path, value, found.version)


def _caught(look: Callable[..., Any], *subject: Any) -> Any:
    """What ``look`` returns or raises; the hub would print an exception that ends a greenlet."""
    try:
        return look(*subject)
    except Exception as error:
        return error


def _claim(request: ClaimEpoch) -> list[Operation]:
    return [
        Check(path=request.candidate),
        Create(path=request.primary, value=request.primary_value, ephemeral=True),
        SetData(path=request.epoch, value=request.epoch_value, version=request.version),
    ]


def _release(request: ReleaseEpoch) -> list[Operation]:
    operations: list[Operation] = [
        SetData(path=request.epoch, value=request.epoch_value, version=request.version),
        Delete(path=request.primary),
    ]
    return operations if request.candidate is None else [*operations, Delete(path=request.candidate)]
