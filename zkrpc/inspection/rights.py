"""What may be wrong with the access lists of our nodes: judged from what they are, and from who we are. Pure.

A process that has no credentials cannot tell whether one that has can register. So it complains only of what is wrong
for everybody: nodes of several owners, and nodes that are open to anyone beside others that are not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from zkrpc.inspection.servers import NotKnown
from zkrpc.legible import legible
from zkrpc.zookeeper.access import ANYONE, CHANGING, Grant, Identity, Right, rights_of, spelled

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccess:
    """A node, and whom its access list lets do what."""

    path: str
    needed: Right
    """What instances, clients or operators do with it."""
    grants: tuple[Grant, ...] = ()
    """Empty if we may not even read them."""
    service: str = ""
    """Whose it is; empty if it is shared."""
    shared: bool = False
    """Whether anyone may make nodes in it, as several users do."""

    @property
    def owners(self) -> tuple[Identity, ...]:
        """Who, beside anyone, may change it."""
        return tuple(grant.to for grant in self.grants if grant.to != ANYONE and grant.rights & CHANGING)

    @property
    def is_open(self) -> bool:
        """Whether anyone may change it, apart from making nodes in a shared parent."""
        harmless = Right.CREATE if self.shared else Right(0)
        return bool(rights_of((), self.grants) & CHANGING & ~harmless)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessFacts:
    """Who we are, and what we and others may do."""

    identities: tuple[Identity, ...] = ()
    """Ours, beside anyone."""
    has_credentials: bool = False
    nodes: tuple[NodeAccess, ...] = ()


def find_lacking(facts: AccessFacts) -> Iterator[str]:
    """Nodes with which our identities may not do what is needed."""
    us = [str(one) for one in facts.identities] or [str(ANYONE)]
    lacked = [(node, node.needed & ~rights_of(facts.identities, node.grants)) for node in facts.nodes]
    lacked = [(node, lacking) for node, lacking in lacked if lacking]
    if lacked and not facts.has_credentials:
        lacked = [(node, lacking) for node, lacking in lacked if Right.READ in lacking]
        if not lacked:
            owners = sorted({str(owner) for node in facts.nodes for owner in node.owners})
            raise NotKnown(f"the nodes are for {legible(_few(owners))} to change, and we have no credentials")
    for node, lacking in lacked:
        may = sorted({_told(grant, us) for grant in node.grants if lacking & grant.rights})
        others = f"; {legible(_few(may))} may" if may else ""
        yield f"{node.path}: as {legible(_few(us))} we may not {spelled(lacking)}{others}"


def _told(grant: Grant, us: Sequence[str]) -> str:
    return f"{grant.to} with another password" if grant.is_others and str(grant.to) in us else str(grant.to)


def find_open(facts: AccessFacts) -> Iterator[str]:
    """Nodes that anyone may change, although somebody has credentials."""
    opened = [node.path for node in facts.nodes if node.is_open]
    closed = len(facts.nodes) - len(opened)
    if opened and (closed or facts.has_credentials):
        yield f"anyone may change {_few(opened)}, though {'others need' if closed else 'we have'} credentials"


def find_owners(facts: AccessFacts) -> Iterator[str]:
    """Nodes of one service that have different owners: whoever registers needs the rights to all of them."""
    of_services: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for node in facts.nodes:
        if node.owners and not node.is_open and not node.shared:
            of_owners = of_services.setdefault(node.service, {})
            of_owners.setdefault(tuple(sorted(map(str, node.owners))), []).append(node.path)
    for of_owners in of_services.values():
        if len(of_owners) > 1:
            told = "; ".join(f"{legible(_few(owners))}: {_few(paths)}" for owners, paths in of_owners.items())
            yield f"nodes are for different identities to change: {told}"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
