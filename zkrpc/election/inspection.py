"""Reads a service's elections from outside, and asks a primary to step down; and how the primary receives that request.

An operator asks a primary to step down by a node beside the primary's own, which the primary watches while it leads.
The request names the epoch that is to end, so that a late request cannot end a later term; it is ephemeral, so that
none outlives its session; and writing it needs the same permission as the election's other nodes. The primary then
steps down as it would by itself: it finishes its calls, stops, and hands over.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from gevent.event import Event

from zkrpc.election.history import Term, TroubleRecord, read_history
from zkrpc.election.tree import ElectionPaths, EpochRecord, StepDownRequest, heartbeat_path, instance_of, queue
from zkrpc.endpoint import NO_EPOCH, Epoch
from zkrpc.errors import ConfigError, CoordinationError, NodeExists, RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)


_LOOK_INTERVAL = 0.5
"""Seconds between reads while waiting for a successor."""
_REQUEST_LOOK_INTERVAL = 10.0
"""Seconds after which a primary looks for a request even if no watch has fired, which bounds the delay by a lost
watch."""
_REQUEST_RETRY = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """The reason why an instance cannot lead, from its own node."""

    instance: str
    why: str
    times: int
    """How often in a row."""
    age: float
    """Seconds since the last time, if the ZooKeeper server's clock and ours agree."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """One group's election as it is in ZooKeeper at one moment."""

    group: str
    epoch: Epoch
    """The newest epoch."""
    primary: PrimaryRecord | None
    """The primary; None if there is none."""
    heartbeat_age: float | None
    """Seconds since the primary's last heartbeat was committed, if the ZooKeeper server's clock and ours agree."""
    candidates: tuple[str, ...]
    """The worker ids of the candidates, in the order of the queue; the primary is one of them."""
    history: tuple[Term, ...]
    """Former primaries and the present one, oldest first."""
    getting_ready: bool = False
    """Whether the primary has been elected and does not serve yet, according to the history."""
    problem: str = ""
    """What is wrong with the election's nodes, so that no primary can be elected; empty if nothing is."""
    complaints: tuple[Complaint, ...] = ()
    """The complaints of instances that could not lead when they were elected last."""


def groups_of(session: Session, service: str) -> list[str]:
    """The groups that have an election in ZooKeeper. Raises ConfigError for a text that cannot be a service's name."""
    return sorted(session.znodes.children(Paths(service).elections) or ())


def look(session: Session, service: str, *, wall_clock: Callable[[], float] = time.time) -> list[GroupReport]:
    """Reads all of a service's elections."""
    found = []
    for group in groups_of(session, service):
        with suppress(ConfigError):
            found.append(_look_at(session, ElectionPaths(service, group), wall_clock))
    return found


def _look_at(session: Session, paths: ElectionPaths, wall_clock: Callable[[], float]) -> GroupReport:
    primary = _read_primary(session, paths)
    epoch, problem = _read_epoch(session, paths)
    history = session.znodes.get(paths.history)
    terms = tuple(read_history(b"" if history is None else history[0]))
    return GroupReport(
        group=paths.group,
        epoch=epoch,
        primary=primary,
        heartbeat_age=None if primary is None else _heartbeat_age(session, primary.instance, wall_clock),
        candidates=tuple(instance_of(name) for name in queue(session.znodes.children(paths.candidates) or ())),
        history=terms,
        getting_ready=primary is not None and all(term.epoch != primary.epoch for term in terms),
        problem=problem,
        complaints=tuple(_read_complaints(session, paths, wall_clock)),
    )


def _read_primary(session: Session, paths: ElectionPaths) -> PrimaryRecord | None:
    found = session.znodes.get(paths.primary)
    return None if found is None else PrimaryRecord.parse(found[0])


def _read_epoch(session: Session, paths: ElectionPaths) -> tuple[Epoch, str]:
    """The newest epoch, and what is wrong with the epoch's or the primary's node."""
    found = session.znodes.get(paths.epoch)
    stat = session.znodes.exists(paths.primary)
    problem = ""
    if stat is not None and not stat.owner:
        problem = f"{paths.primary} belongs to no session, and keeps every candidate from being elected: delete it"
    try:
        return EpochRecord.parse_credible(b"" if found is None else found[0]).epoch, problem
    except RemoteProtocolError as error:
        return NO_EPOCH, f"{paths.epoch}: {error}; nobody can be elected until it is put right or deleted"


def _read_complaints(session: Session, paths: ElectionPaths, wall_clock: Callable[[], float]) -> Iterator[Complaint]:
    for name in sorted(session.znodes.children(paths.troubles) or ()):
        found = session.znodes.get(paths.trouble(name))
        trouble = TroubleRecord.parse(found[0]) if found is not None else None
        if found is not None and trouble is not None:
            age = max(0.0, wall_clock() - found[1].modified_at)
            yield Complaint(instance=name, why=trouble.why, times=trouble.times, age=age)


def _heartbeat_age(session: Session, instance: str, wall_clock: Callable[[], float]) -> float | None:
    try:
        stat = session.znodes.exists(heartbeat_path(instance))
    except ConfigError:
        return None
    return None if stat is None else max(0.0, wall_clock() - stat.modified_at)


def ask_to_step_down(session: Session, paths: ElectionPaths, *, heir: str = "", timeout: float) -> PrimaryRecord:
    """Has the group's primary hand over, to ``heir`` if that instance is a candidate, and returns the next primary's
    record.

    Raises CoordinationError if there is no primary, there is another such request, or there is no successor in time.
    """
    old = _read_primary(session, paths)
    if old is None:
        raise CoordinationError(f"nobody leads {paths.service}/{paths.group} now, so nobody can step down")
    path = paths.step_down
    try:
        session.znodes.create(path, StepDownRequest(epoch=old.epoch, heir=heir).dump(), ephemeral=True)
    except NodeExists as error:
        raise CoordinationError(f"there is a request already that the primary of {paths.group} step down") from error
    try:
        new = _await_successor(session, paths, old.epoch, time.monotonic() + timeout)
    finally:
        # If this fails, the node is deleted with our session.
        with suppress(CoordinationError):
            session.znodes.delete(path)
    if new is None:
        raise CoordinationError(f"{legible(old.instance)} has not handed {paths.group} over within {timeout:g} s")
    return new


def _await_successor(session: Session, paths: ElectionPaths, epoch: Epoch, give_up_at: float) -> PrimaryRecord | None:
    changed = Event()
    while (left := give_up_at - time.monotonic()) > 0:
        changed.clear()
        if session.znodes.exists(paths.primary, changed) is not None:
            record = _read_primary(session, paths)
            if record is not None and record.epoch > epoch:
                return record
        changed.wait(min(left, _LOOK_INTERVAL))
    return None


def await_step_down_request(session: Session, paths: ElectionPaths, epoch: Epoch, obey: Callable[[str], None]) -> None:
    """Waits for a request that the primary of ``epoch`` step down, and then calls ``obey`` with the heir.

    The primary runs it in a greenlet that ends with the term."""
    changed = Event()
    while True:
        changed.clear()
        try:
            request, pause = _read_request(session, paths.step_down, changed), _REQUEST_LOOK_INTERVAL
        except CoordinationError as error:
            log.debug("cannot look for step-down requests: %s", error)
            request, pause = None, _REQUEST_RETRY
            # The loss of the connection has set it; reading again at once would only fail again.
            changed.clear()
        if request is not None and request.epoch == epoch:
            log.info("an operator asks the primary of %s, epoch %d, to step down", paths.group, epoch)
            obey(request.heir)
            return
        changed.wait(pause)


def _read_request(session: Session, path: str, changed: Event) -> StepDownRequest | None:
    if session.znodes.exists(path, changed) is None:
        return None
    found = session.znodes.get(path)
    return None if found is None else StepDownRequest.parse(found[0])
