"""Gives and withdraws operators' orders, for commands and pages; :mod:`zkrpc.registry.offline` says what they are."""

from __future__ import annotations

import contextlib

from gevent.event import Event

from zkrpc.errors import CoordinationError, NodeExists, NodeMissing, OutcomeUnknown, VersionConflict
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import Paths, worker_id_of
from zkrpc.zookeeper.session import Session


def is_listed(session: Session, paths: Paths, instance: str, changed: Event | None = None) -> bool:
    """Whether callers find an instance; ``changed`` is set when that changes."""
    return session.znodes.exists(paths.member(instance), changed) is not None


def require_others(session: Session, paths: Paths, instance: str, remedy: str) -> None:
    """Raises CoordinationError, which ends with ``remedy``, if nobody serves beside this instance."""
    listed = {worker_id_of(name) for name in session.znodes.children(paths.members) or ()}
    if not listed - set(session.znodes.children(paths.offline) or ()) - {instance}:
        raise CoordinationError(f"{instance} is the only instance of {paths.service} that serves; {remedy}")


def give_order(session: Session, paths: Paths, instance: str, order: OfflineOrder) -> bool:
    """Writes the order; False if there is the same already, so that giving it again changes nothing."""
    znodes, path, payload = session.znodes, paths.offline_order(instance), order.dump()
    try:
        found = znodes.get(path)
        if found is None:
            znodes.ensure_path(paths.offline)
            znodes.create(path, payload)
            return True
        if OfflineOrder.parse(found[0]).reason == order.reason:
            return False
        znodes.set(path, payload, found[1].version)
    except (NodeExists, NodeMissing, VersionConflict) as error:
        raise VersionConflict(
            f"somebody else has changed the order for {instance} meanwhile; look: zkrpc ls {paths.service}"
        ) from error
    except OutcomeUnknown as error:
        raise OutcomeUnknown(f"{error}; see what came of it: zkrpc ls {paths.service}") from error
    return True


def remove_entry(session: Session, paths: Paths, instance: str) -> None:
    """Removes an instance that does not obey from the list of members, in its place."""
    with contextlib.suppress(NodeMissing):  # it has obeyed at the last moment
        session.znodes.delete(paths.member(instance))


def withdraw_order(session: Session, paths: Paths, instance: str) -> None:
    """Removes the order, if it is still there."""
    try:
        with contextlib.suppress(NodeMissing):  # somebody else has
            session.znodes.delete(paths.offline_order(instance))
    except OutcomeUnknown as error:
        raise OutcomeUnknown(f"{error}; see what came of it: zkrpc ls {paths.service}") from error
