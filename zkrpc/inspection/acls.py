"""The access lists of nodes beside what they should be, and putting them right: as many requests as there are nodes, of
which there are at most ``MOST_NODES``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from zkrpc.coordination import Registry
from zkrpc.election.tree import HEARTBEATS
from zkrpc.errors import CoordinationError
from zkrpc.registry.schema import IDL, SERVICES, Paths
from zkrpc.zookeeper.access import Grant, Identity, Right, rights_of
from zkrpc.zookeeper.operations import ConnectString
from zkrpc.zookeeper.ownership import find_differences, grants_for, is_shared, our_identities, read_identity

MOST_NODES = 20_000
"""Nodes that are looked at; a service with thousands of instances has fewer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StrangersNode:
    """A node in a shared parent that belongs to somebody who is neither us nor named in the settings."""

    path: str
    owners: tuple[Identity, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node whose access list is not what it should be."""

    path: str
    differences: tuple[str, ...]
    ours: bool
    """Whether we may put it right."""
    error: str = ""
    """Why it was not put right, although it is ours."""


def our_names(registry: Registry) -> tuple[Identity, ...]:
    """Our identities. A ZooKeeper before 3.7 cannot tell the subject of a certificate."""
    session = registry.session
    told: tuple[Identity, ...] = ()
    if session.security.certificate:
        told = session.znodes.identities()
    return tuple(one for one in our_identities(session.security, told) if one.scheme != "ip")


def is_others(registry: Registry, service: str, us: Sequence[Identity]) -> bool:
    """Whether the service belongs to somebody else, so that nothing of it is ours to judge."""
    grants = registry.session.znodes.access(Paths(service).root) or ()
    return not _is_ours(us, grants) and any(Right.ADMIN in grant.rights for grant in grants)


def survey_access(registry: Registry, services: Iterable[str], us: Sequence[Identity]) -> tuple[list[NodeState], int]:
    """The nodes of the services, and the parents that they share, whose access lists are not what they should be; and
    how many were looked at. Raises CoordinationError for more than ``MOST_NODES``, and if ZooKeeper does not answer."""
    znodes, security, found, count = registry.session.znodes, registry.session.security, [], 0
    for path in _nodes(registry, services):
        count += 1
        if count > MOST_NODES:
            raise CoordinationError(f"there are more than {MOST_NODES} nodes; look at one service at a time")
        grants = znodes.access(path)
        if grants is None:
            continue
        differences = find_differences(security, us, grants, shared=is_shared(path))
        if differences:
            found.append(NodeState(path=path, differences=tuple(differences), ours=_is_ours(us, grants)))
    return found, count


def find_strangers(registry: Registry, us: Sequence[Identity]) -> list[StrangersNode]:
    """The nodes in the shared parents that belong to others than us, the ``owners`` and the ``users`` of the settings.
    Whoever makes ``/services/NAME``, ``/heartbeats/ID`` or ``/idl/DIGEST`` before us keeps us from it. Raises
    CoordinationError for more than ``MOST_NODES``, and if ZooKeeper does not answer."""
    znodes, security = registry.session.znodes, registry.session.security
    named = [read_identity(one) for one in (*security.owners, *security.users)]
    paths = [f"{parent}/{name}" for parent in (SERVICES, IDL, HEARTBEATS) for name in znodes.children(parent) or ()]
    if len(paths) > MOST_NODES:
        raise CoordinationError(f"there are more than {MOST_NODES} nodes; look at one service at a time")
    found = []
    for path in sorted(paths):
        grants = znodes.access(path) or ()
        owners = tuple(grant.to for grant in grants if grant.rights & Right.ADMIN)
        # ZooKeeper hides the hashes of others' passwords: of those who are named the name has to do.
        is_known = any(one.is_within(owner) for one in named for owner in owners)
        if owners and not is_known and not _is_ours(us, grants):
            found.append(StrangersNode(path=path, owners=owners))
    return found


def mend(registry: Registry, found: Iterable[NodeState], us: Sequence[Identity]) -> Iterator[NodeState]:
    """Gives each of our nodes the access list that it should have; tells of each what came of it. Those that are not
    ours are told as they are."""
    znodes, security = registry.session.znodes, registry.session.security
    for state in found:
        error = ""
        if state.ours:
            try:
                znodes.set_access(state.path, grants_for(security, shared=is_shared(state.path), us=us))
            except CoordinationError as failure:
                error = str(failure)
        yield dataclasses.replace(state, error=error)


def _is_ours(us: Sequence[Identity], grants: Sequence[Grant]) -> bool:
    return bool(rights_of(us, grants) & Right.ADMIN)


def _nodes(registry: Registry, services: Iterable[str]) -> Iterator[str]:
    """The paths of all nodes, parents first."""
    znodes = registry.session.znodes
    if ConnectString.parse(registry.hosts).chroot:
        yield "/"
    yield from (SERVICES, IDL, HEARTBEATS)
    for service in services:
        waiting = [Paths(service).root]
        while waiting:
            path = waiting.pop()
            yield path
            waiting += sorted((f"{path}/{name}" for name in znodes.children(path) or ()), reverse=True)
