"""Removes the nodes that a retired service has left in ZooKeeper, and never those of a running one.

:func:`survey` reads all nodes of a service, and :func:`remove` deletes them in one transaction that names every node
with its version, leaves first. ZooKeeper refuses to delete a node that has a child, so an instance that registers or
becomes a candidate between the two makes the whole transaction fail: either exactly the nodes that were read are
deleted, or none. A worker that is merely disconnected creates its nodes again when it is back.

ZooKeeper does not record for how long a service has had no members, only whether any joined or left since an earlier
read. So the first run that finds none notes it beside the members (:class:`Vacancy`), and a later run uses that note.
"""

from __future__ import annotations

import dataclasses
import json

from zkrpc.errors import AccessDenied, CoordinationError, NodeExists, NodeMissing, VersionConflict
from zkrpc.registry.schema import SERVICES, Paths, worker_id_of
from zkrpc.zookeeper.operations import Delete, Stat
from zkrpc.zookeeper.session import Session

_MOST_NODES = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """The note that a service was found without members."""

    children_zxid: int
    """The transaction in which a member last joined or left before the note; if it has changed, one did so since."""
    noted_at: float
    """Wall-clock seconds since 1970, by ZooKeeper's clock."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """All nodes of one service."""

    paths: Paths
    nodes: dict[str, Stat]
    """By path, parents before their children."""
    epochs: dict[str, bytes]
    """The content of each group's epoch node."""
    vacancy: Vacancy | None

    @property
    def living(self) -> list[str]:
        """The worker ids that are registered; if there are none, the paths of all other ephemeral nodes."""
        living = [path for path, stat in self.nodes.items() if stat.owner]
        members = [worker_id_of(_tail(path)) for path in living if path.startswith(f"{self.paths.members}/")]
        return sorted(members or living)

    @property
    def strange(self) -> list[str]:
        """The paths of persistent nodes that zkrpc does not create."""
        return [path for path, stat in self.nodes.items() if not stat.owner and not self._is_ours(path)]

    @property
    def is_vacant_since(self) -> float | None:
        """Since when no member has joined or left, for certain; None if that is not known."""
        if self.vacancy is None or self.vacancy.children_zxid != self._children_zxid():
            return None
        return self.vacancy.noted_at

    def _children_zxid(self) -> int:
        members = self.nodes.get(self.paths.members)
        return 0 if members is None else members.children_zxid

    def _is_ours(self, path: str) -> bool:
        paths = self.paths
        own = (
            paths.members,
            paths.incarnations,
            paths.offline,
            paths.resting,
            paths.config,
            paths.elections,
            paths.config_history,
        )
        if path in (paths.root, paths.vacancy, paths.publication, *own) or path.rpartition("/")[0] in (
            paths.offline,
            paths.config_history,
        ):
            return True
        below, _, rest = path.removeprefix(paths.elections).removeprefix("/").partition("/")
        return path.startswith(f"{paths.elections}/{below}") and "/" not in rest


def survey(session: Session, paths: Paths) -> Remains:
    """Reads everything below the service's node. Raises CoordinationError for more nodes than a service can plausibly
    have."""
    nodes: dict[str, Stat] = {}
    waiting = [paths.root]
    while waiting:
        path = waiting.pop()
        found = session.znodes.listing(path)
        if found is None:
            continue
        names, nodes[path] = found
        waiting += [f"{path}/{name}" for name in names]
        if len(nodes) + len(waiting) > _MOST_NODES:
            raise CoordinationError(f"there are more than {_MOST_NODES} nodes below {paths.root}; look at them first")
    epochs = {}
    for path in nodes:
        if _tail(path) == "epoch" and path.startswith(f"{paths.elections}/"):
            value = session.znodes.get(path)
            epochs[path.split("/")[-2]] = b"" if value is None else value[0]
    return Remains(paths=paths, nodes=nodes, epochs=epochs, vacancy=_read_vacancy(session, paths))


def note_vacancy(session: Session, remains: Remains) -> None:
    """Notes in ZooKeeper that the service has no members now."""
    value = json.dumps({"children_zxid": remains._children_zxid()}).encode()
    try:
        session.znodes.create(remains.paths.vacancy, value)
    except NodeExists:
        session.znodes.set(remains.paths.vacancy, value)


def remove(session: Session, remains: Remains) -> list[str]:
    """Deletes all nodes in ``remains`` and returns their paths, parents first. The service's own node stays, empty, if
    the parent of all services does not let us delete there, as it is another user's.

    Raises VersionConflict if one of them has changed since; then nothing was removed.
    """
    operations = [Delete(path=path, version=stat.version) for path, stat in reversed(remains.nodes.items())]
    removed = list(remains.nodes)
    try:
        try:
            session.znodes.multi(operations)
        except AccessDenied as error:
            if error.path != SERVICES:
                raise
            session.znodes.multi([one for one in operations if one.path != remains.paths.root])
            removed.remove(remains.paths.root)
    except (VersionConflict, NodeMissing, NodeExists) as error:
        raise _changed(remains) from error
    except CoordinationError as error:
        if survey(session, remains.paths).nodes.keys() != remains.nodes.keys():
            raise _changed(remains) from error
        raise
    return removed


def _changed(remains: Remains) -> VersionConflict:
    return VersionConflict(
        f"somebody came or changed something at {remains.paths.root} meanwhile; nothing was removed, look again"
    )


def _read_vacancy(session: Session, paths: Paths) -> Vacancy | None:
    found = session.znodes.get(paths.vacancy)
    if found is None:
        return None
    try:
        zxid = json.loads(found[0])["children_zxid"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return Vacancy(children_zxid=zxid, noted_at=found[1].modified_at) if type(zxid) is int else None


def _tail(path: str) -> str:
    return path.rpartition("/")[2]
